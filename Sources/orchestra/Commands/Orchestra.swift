import ArgumentParser
import Domain
import Foundation

/// The root command.
@main
struct Orchestra: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "orchestra",
        abstract: "Runs AI agents and the actions they ask for: queued, decided, sandboxed, audited.",
        discussion: """
            EXAMPLES
              orchestra dev                                         a whole node on this machine
              orchestra submit shell.run --param command='uname -a' --wait
              orchestra jobs list
              orchestra agents list
              orchestra status

            EXIT STATUS
              0 done · 1 the job failed · 64 usage · 65 unusable params · 69 a needed service is missing
              70 gave up · 77 not permitted · 78 configuration
            """,
        version: Version.text,
        subcommands: [
            DevCommand.self, WorkerCommand.self, StatusCommand.self, SubmitCommand.self, JobsCommand.self,
            DeadCommand.self, WorkspacesCommand.self, AgentsCommand.self, SandboxCommand.self, SelftestCommand.self,
            DoctorCommand.self,
            ConfigCommand.self,
            PolicyCommand.self, KeysCommand.self, TokensCommand.self,
        ])
}

enum Version {
    static let text = "0.1.0"
}

/// The options of every command.
struct CommonOptions: ParsableArguments {
    @Option(name: .long, help: "A JSON configuration file (also ORCHESTRA_CONFIG).")
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Sets any configuration key; `orchestra config` lists them.", valueName: "key=value"))
    var set: [String] = []

    /// Loads the configuration; the command's own flags come as `extra`.
    /// `ignoringDev` leaves out the file that an earlier `orchestra dev` wrote.
    func context(extra: [String: String] = [:], ignoringDev: Bool = false) throws -> Context {
        var flags = extra
        for pair in self.set {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw CommandError(.usage, "--set \(Printable.text(pair)): expected key=value")
            }
            flags[String(parts[0])] = String(parts[1])
        }
        try Self.refuseSecrets(flags)
        var environment = ProcessInfo.processInfo.environment
        let file = self.file(environment, flags, ignoringDev: ignoringDev)
        // That file's state directory lies within the one that the variable names.
        if file?.hasSuffix("/dev/config.json") == true { environment["ORCHESTRA_STATE_DIRECTORY"] = nil }
        return Context(settings: try Settings(flags: flags, environment: environment, file: file))
    }

    /// What is on a command line shows in every list of processes for as long as the command runs.
    private static func refuseSecrets(_ flags: [String: String]) throws {
        for (name, value) in flags {
            let isPassword =
                name == "redis.url" && value.prefix { $0 != "@" }.split(separator: ":").count > 2 && value.contains("@")
            guard isPassword || SettingKey.byName[name]?.isSecret == true else { continue }
            throw CommandError.configuration(
                "'\(name)' holds a secret, which must not be on the command line; expected it in \(SettingKey.byName[name]?.variable ?? "its variable") or in a file named by it with _FILE"
            )
        }
    }

    /// The named file, else the user's, else the one that `orchestra dev` left for the other commands.
    private func file(_ environment: [String: String], _ flags: [String: String], ignoringDev: Bool) -> String? {
        if let config = self.config ?? environment["ORCHESTRA_CONFIG"] { return config }
        let state =
            flags["state-directory"] ?? environment["ORCHESTRA_STATE_DIRECTORY"]
            ?? Context.defaultStateDirectory(environment)
        let candidates = [
            NSHomeDirectory() + "/.config/orchestra/config.json", state + "/config.json", state + "/dev/config.json",
        ]
        return candidates.first { Host.exists($0) && !(ignoringDev && $0.hasSuffix("/dev/config.json")) }
    }
}

/// How a command prints; `submit` has `--json` for a file and so only the longer name.
struct OutputOptions: ParsableArguments {
    @Flag(name: [.customLong("json"), .customLong("json-output")], help: "Prints JSON, one object a line.")
    var json = false
}

/// Runs a command's body and turns its error into one line and a status.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let code as ExitCode {
        throw code
    } catch {
        let failure = CommandError(error)
        _ = Output.write(Array("error: \(failure.message)\n".utf8), to: STDERR_FILENO)
        throw ExitCode(failure.status.rawValue)
    }
}
