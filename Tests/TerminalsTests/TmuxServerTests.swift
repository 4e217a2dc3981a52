import Domain
import Testing

@testable import Terminals

@Suite("TmuxServer")
struct TmuxServerTests {
    private static let server = TmuxServer(executable: "/usr/bin/tmux", socket: "/tmp/s")

    @Test("viewers attach read-only to the only session, by its exact name")
    func attach() {
        #expect(
            Self.server.attachArguments == ["-u", "-S", "/tmp/s", "attach-session", "-r", "-t", "=agent"])
    }

    @Test(
        "programs in the pane reach neither the clipboard nor the outer terminal, and no key reaches tmux",
        arguments: [
            "set -s set-clipboard off", "set -g allow-passthrough off", "set -g set-titles off", "unbind-key -a",
            "set -g prefix None",
        ])
    func confined(line: String) {
        #expect(TmuxServer.configurationText.split(separator: "\n").contains { $0 == line })
    }

    @Test("a dead pane is never kept: tmux 3.3a dies of a paste into it")
    func deadPane() {
        #expect(TmuxServer.configurationText.contains("set -g remain-on-exit off"))
    }

    @Test("clients that may type are found in tmux's list, and read-only ones are not among them")
    func writingClients() {
        #expect(TmuxServer.writingClients(listed: "1 10\n0 11\n0 12\n") == [11, 12])
        #expect(TmuxServer.writingClients(listed: "") == [])
        #expect(TmuxServer.writingClients(listed: "0\n0 x\n0 1 2\n") == [])
    }

    @Test("the server's process is the number that tmux prints, and anything else is an error")
    func processID() throws {
        #expect(try TmuxServer.processID(printed: "123\n") == 123)
        #expect(throws: TerminalError.self) { try TmuxServer.processID(printed: "no server") }
    }

    @Test("an error is described by its message")
    func error() {
        #expect("\(TerminalError(code: .commandFailed, message: "no tmux"))" == "no tmux")
    }
}
