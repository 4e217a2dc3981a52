internal import CLinux
internal import Glibc

/// `agent DIR`: the root process of an agent's pane. `command`: runs one command described on standard
/// input. `view DIR`: shows a running agent. `direct FD`: runs one program with its own input and output.
/// `guard FD REPORT`: inside a sandbox, the parent of its program. With ATTEMPT in the environment: a call that
/// must be refused inside a sandbox.
let arguments = CommandLine.arguments
_ = orc_harden_process()
umask(0o077)
if let attempt = POSIX.variable("ATTEMPT") {
    exit(Attempt.run(attempt.split(separator: "\u{1f}", omittingEmptySubsequences: false).map(String.init)))
}
switch (arguments.dropFirst().first, arguments.count) {
case ("agent", 3):
    guard var session = TerminalSession.start(directory: arguments[2]) else { exit(70) }
    session.run()
case ("command", 2): exit(CommandSession.run())
case ("direct", 3): exit(DirectSession.run(descriptor: arguments[2]))
case ("guard", 4): exit(Guard.run(descriptor: arguments[2], report: arguments[3]))
case ("view", 3): exit(Viewer.run(directory: arguments[2]))
default:
    report(
        "usage: orchestra-shim agent DIRECTORY | command | view DIRECTORY | direct FD | guard FD REPORT; it is started by orchestra itself"
    )
    exit(64)
}
