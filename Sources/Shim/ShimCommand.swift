internal import CLinux
internal import Glibc

/// The verbs of the shim's executable.
///
/// `agent DIR`: the root process of an agent's pane. `command`: runs one command described on standard input. `view DIR`:
/// shows a running agent. `direct FD`: runs one program with the shim's own input and output. `guard FD REPORT`: inside a
/// sandbox, sets up its inner layers and is the parent of the program. With ATTEMPT in the environment: makes a call that must be
/// refused inside a sandbox.
package enum ShimCommand {
    /// Runs the verb of the command line to its end; returns the process's exit status.
    package static func run(_ arguments: [String]) -> Int32 {
        _ = orc_harden_process()
        umask(0o077)
        if let attempt = POSIX.variable("ATTEMPT") {
            return Attempt.run(
                attempt.split(separator: "\u{1f}", omittingEmptySubsequences: false).map(String.init))
        }
        switch (arguments.dropFirst().first, arguments.count) {
        case ("agent", 3):
            guard var session = TerminalSession.start(directory: arguments[2]) else { return 70 }
            session.run()
            return 0
        case ("command", 2): return CommandSession.run()
        case ("direct", 3): return DirectSession.run(descriptor: arguments[2])
        case ("guard", 4): return Guard.run(descriptor: arguments[2], report: arguments[3])
        case ("view", 3): return Viewer.run(directory: arguments[2])
        default:
            report(
                "usage: orchestra-shim agent DIRECTORY | command | view DIRECTORY | direct FD | guard FD REPORT; orchestra starts it"
            )
            return 64
        }
    }
}
