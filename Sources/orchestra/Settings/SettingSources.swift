import Foundation

/// Where the settings of one command come from: its flags, the environment, and the user's configuration file.
struct SettingSources: Sendable {
    let flags: [String: String]
    let directories: UserDirectories
    /// The configuration file, nil when none was named and the user has none.
    let file: String?

    /// `config` is the file that `--config` names. Throws status 78 when a flag holds a secret.
    init(flags: [String: String], config: String?, directories: UserDirectories) throws {
        try Self.refuseSecrets(flags)
        self.flags = flags
        self.directories = directories
        let named = config ?? directories.environment["ORCHESTRA_CONFIG"]
        self.file = named ?? (Host.exists(directories.configurationFile) ? directories.configurationFile : nil)
    }

    /// The effective configuration without the file of `orchestra dev`.
    func context() throws -> Context {
        Context(
            settings: try Settings(flags: self.flags, environment: self.directories.environment, file: self.file),
            directories: self.directories)
    }

    /// The configuration of a client of the dev node, and that node; nil when there is no such node, or when the client
    /// has a configuration of its own.
    func devContext(besides own: Context) throws -> (Context, DevNode)? {
        let dev = DevNode(base: own.stateDirectory)
        guard DevNode.mayServe(own.settings), Host.exists(dev.configurationFile) else { return nil }
        // The state directory of the dev node is the one in its file, below the one that is set.
        var (flags, environment) = (self.flags, self.directories.environment)
        flags["state-directory"] = nil
        environment["ORCHESTRA_STATE_DIRECTORY"] = nil
        let settings = try Settings(flags: flags, environment: environment, file: nil, devNode: dev)
        return (Context(settings: settings, directories: self.directories), dev)
    }

    /// The command line of a process is shown by `ps` for as long as it runs.
    private static func refuseSecrets(_ flags: [String: String]) throws {
        for (name, value) in flags {
            let isPassword =
                name == "redis.url" && value.prefix { $0 != "@" }.split(separator: ":").count > 2 && value.contains("@")
            guard isPassword || SettingKey.byName[name]?.isSecret == true else { continue }
            let variable = SettingKey.byName[name]?.variable ?? "its variable"
            throw CommandError.configuration(
                "'\(name)' holds a secret, which must not be on the command line, where every user of this machine sees it; expected it in \(variable), or in a file named by \(variable)_FILE"
            )
        }
    }
}
