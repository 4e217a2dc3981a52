internal import CLinux
internal import Glibc

/// `agent DIR`: the root process of an agent's pane. `command`: runs one command described on standard
/// input. `view DIR`: shows a running agent.
let arguments = CommandLine.arguments
_ = orc_harden_process()
umask(0o077)
switch (arguments.dropFirst().first, arguments.count) {
case ("agent", 3):
    guard var session = TerminalSession.start(directory: arguments[2]) else { exit(70) }
    session.run()
case ("command", 2): exit(CommandSession.run())
case ("view", 3): exit(Viewer.run(directory: arguments[2]))
default:
    report("usage: orchestra-shim agent DIRECTORY | command | view DIRECTORY; it is started by orchestra itself")
    exit(64)
}
