import Foundation

/// Where this user's state, configuration and sockets are, as in the XDG Base Directory Specification: a variable with a
/// relative path is ignored.
struct UserDirectories: Sendable {
    /// The environment of the process.
    let environment: [String: String]
    /// The home directory in the password database, used when `$HOME` is not an absolute path.
    let accountHome: String

    /// The directories of the user who runs this process.
    static func current() -> UserDirectories {
        UserDirectories(environment: ProcessInfo.processInfo.environment, accountHome: NSHomeDirectory())
    }

    /// `$HOME`, else the home directory in the password database.
    var home: String { self.absolute("HOME") ?? self.accountHome }

    /// `$XDG_STATE_HOME/orchestra`, else `~/.local/state/orchestra`.
    var state: String { (self.absolute("XDG_STATE_HOME") ?? self.home + "/.local/state") + "/orchestra" }

    /// `$XDG_CONFIG_HOME/orchestra/config.json`, else `~/.config/orchestra/config.json`.
    var configurationFile: String {
        (self.absolute("XDG_CONFIG_HOME") ?? self.home + "/.config") + "/orchestra/config.json"
    }

    /// `$XDG_RUNTIME_DIR`, nil when it is not set.
    var runtime: String? { self.absolute("XDG_RUNTIME_DIR") }

    private func absolute(_ variable: String) -> String? {
        self.environment[variable].flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
}
