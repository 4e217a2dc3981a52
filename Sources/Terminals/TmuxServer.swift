internal import CLinux
internal import Domain
internal import Subprocess
internal import SystemPackage

/// One private tmux server: a new socket in the agent's directory, an empty environment, no configuration but this one, and
/// a single pane. It shows an agent's terminal and never transports its input or output.
///
/// These choices avoid faults of tmux 3.3a that were measured: a socket path is used once, clients end by themselves and are
/// never killed, a dead pane is never kept.
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

    /// The configuration's text, which the caller writes to a file of the agent's directory.
    package static var configurationText: String { self.configuration + "\n" }

    /// Starts the server with `argv` as its only pane; its process. The environment has five harmless variables. Throws
    /// `TerminalError` with tmux's message; no server is left then. With the code `lost` its program may have run.
    package func start(configurationFile: String, argv: [String], directory: String) async throws -> Int32 {
        _ = try await self.run(
            [
                "-u", "-f", configurationFile, "new-session", "-d", "-s", "agent", "-x", "220", "-y", "50", "-c",
                directory,
            ]
                + argv)
        // Not in the file: tmux 3.3a dies when `window-size manual` is set before the first window exists.
        do {
            return try Self.processID(
                printed: try await self.run(
                    ["set-option", "-g", "window-size", "manual", ";", "display-message", "-p", "#{pid}"]))
        } catch {
            await self.stop()
            throw TerminalError(code: .lost, message: "tmux was started and then did not answer", underlying: error)
        }
    }

    static func processID(printed text: String) throws(TerminalError) -> Int32 {
        guard let pid = Int32(text.trimmedASCII) else {
            throw TerminalError(
                code: .unexpectedAnswer,
                message: "tmux printed '\(text.prefix(80))'; expected the number of its process")
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

    /// The processes of attached clients that may type.
    package func writingClients() async -> [Int32] {
        do {
            return Self.writingClients(
                listed: try await self.run(["list-clients", "-F", "#{client_readonly} #{client_pid}"]))
        } catch {
            return []  // no server answers, so no client is attached
        }
    }

    static func writingClients(listed text: String) -> [Int32] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            return fields.count == 2 && fields[0] == "0" ? Int32(fields[1]) : nil
        }
    }

    /// Gives the pane another size. Throws `TerminalError` with tmux's message.
    package func resize(columns: UInt16, rows: UInt16) async throws {
        _ = try await self.run(["resize-window", "-t", "=agent:", "-x", "\(columns)", "-y", "\(rows)"])
    }

    /// Ends the server; its pane's process gets SIGHUP. Does nothing when it is gone already.
    package func stop() async {
        do { _ = try await self.run(["kill-server"]) } catch { return }  // no server answers: nothing to stop
    }

    /// The arguments of a tmux client that shows the pane read-only.
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
