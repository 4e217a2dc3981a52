internal import CLinux
internal import Domain
internal import Subprocess
internal import SystemPackage

/// One private tmux server: a fresh socket in a directory of ours, an empty environment, no configuration
/// but this one, and a single pane. It is the viewer of an agent, never its transport.
///
/// Every trap of tmux 3.3a that these choices avoid was measured: a socket path is used once, clients end
/// by themselves and are never killed, a dead pane is never kept.
package struct TmuxServer: Sendable {
    package let executable: String
    package let socket: String

    private static let configuration = """
        set -s exit-empty on
        set -s set-clipboard off
        set -s escape-time 0
        set -g default-terminal xterm-256color
        set -g status off
        set -g set-titles off
        set -g allow-passthrough off
        set -g allow-rename off
        set -g automatic-rename off
        set -g remain-on-exit off
        set -g history-limit 2000
        set -g update-environment ""
        set -g default-size 220x50
        set -g prefix None
        unbind-key -a
        """

    /// `socket` must be new: a path is never used by two servers.
    package init(executable: String, socket: String) {
        self.executable = executable
        self.socket = socket
    }

    /// The configuration's text; the caller puts it into a file of the agent's directory.
    package static var configurationText: String { self.configuration + "\n" }

    /// Starts the server with `argv` as its only pane. The environment holds five harmless variables.
    /// Throws `TerminalError` with tmux's own words; nothing of it is left then.
    package func start(configurationFile: String, argv: [String], directory: String) async throws -> Int32 {
        _ = try await self.run(
            [
                "-u", "-f", configurationFile, "new-session", "-d", "-s", "agent", "-x", "220", "-y", "50", "-c",
                directory,
            ]
                + argv)
        // Not in the file: tmux 3.3a dies when `window-size manual` is set before the first window exists.
        let answer = try await self.run(
            ["set-option", "-g", "window-size", "manual", ";", "display-message", "-p", "#{pid}"])
        guard let pid = Int32(answer.trimmedASCII) else {
            throw TerminalError(
                code: .unexpectedAnswer, message: "tmux did not name its process: '\(answer.prefix(80))'")
        }
        return pid
    }

    /// True while a server answers on the socket.
    package func isAlive() async -> Bool {
        do {
            _ = try await self.run(["has-session", "-t", "=agent"])
            return true
        } catch {
            return false
        }
    }

    /// The processes of attached clients that could type.
    package func writingClients() async -> [Int32] {
        do {
            let answer = try await self.run(["list-clients", "-F", "#{client_readonly} #{client_pid}"])
            return answer.split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ")
                return fields.count == 2 && fields[0] == "0" ? Int32(fields[1]) : nil
            }
        } catch {
            return []  // no server answers, so nobody is attached
        }
    }

    /// Asks the server to end; its pane's process gets SIGHUP. Silent when it is gone already.
    package func stop() async {
        do { _ = try await self.run(["kill-server"]) } catch { return }  // no server answers: nothing to stop
    }

    /// The command line with which a person looks at the pane; writing is not possible through it.
    package var attachArguments: [String] { ["-u", "-S", self.socket, "attach-session", "-r", "-t", "=agent"] }

    private func run(_ arguments: [String]) async throws -> String {
        var options = PlatformOptions()
        options.createSession = true
        let result = try await Subprocess.run(
            .path(FilePath(self.executable)), arguments: Arguments(["-S", self.socket] + arguments),
            environment: .custom([
                "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm-256color", "SHELL": "/bin/sh",
                "HOME": "/nonexistent", "SWIFT_BACKTRACE": "enable=no",
            ]), platformOptions: options, output: .string(limit: 64 * 1024), error: .string(limit: 64 * 1024))
        guard result.terminationStatus.isSuccess else {
            throw TerminalError(
                code: .commandFailed,
                message:
                    "tmux \(arguments.first { !$0.hasPrefix("-") } ?? "") failed: \(result.standardError.trimmedASCII)")
        }
        return result.standardOutput
    }
}

extension String {
    fileprivate var trimmedASCII: String {
        String(self.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
