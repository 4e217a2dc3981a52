import CLinux
import Glibc
import ShimProtocol
import Synchronization
import TestSupport
import Testing

@testable import Shim

/// A session with a real pseudo terminal and no processes: the test plays the program, the clients and the clock.
final class SessionBench {
    /// Milliseconds, moved by the test.
    final class Clock: Sendable {
        private let time = Mutex<UInt64>(1_000_000)

        var now: UInt64 { self.time.withLock { $0 } }

        func advance(_ milliseconds: UInt64) { self.time.withLock { $0 += milliseconds } }
    }

    static let token: [UInt8] = [7, 7]

    var session: TerminalSession
    let tree = FakeTree()
    let clock = Clock()
    let directory: String
    private let program: Int32

    init(_ directory: String, logQuota: UInt64 = 1 << 20) throws {
        self.directory = directory
        var spec = LaunchSpec(
            mode: .terminal, executable: "/none", arguments: [], command: [], columns: 80, rows: 24, token: Self.token)
        spec.logQuota = logQuota
        let master = orc_pty_open(80, 24)
        try #require(master >= 0)
        var number: Int32 = 0
        // TIOCGPTN
        let named = unsafe ioctl(master, 0x8004_5430, &number)
        try #require(named == 0)
        let program = unsafe open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_NONBLOCK)
        try #require(program >= 0)
        self.program = program
        let clock = self.clock
        let recorder = try #require(Recorder(directory: directory, start: clock.now, ringQuota: nil))
        self.session = TerminalSession(
            spec: spec, directory: directory, descriptors: TerminalSession.Descriptors(master: master),
            recorder: recorder, program: ProgramRun(tree: self.tree, isTerminal: true, stopGrace: 100),
            now: { clock.now })
    }

    deinit {
        close(self.program)
        close(self.session.descriptors.master)
    }

    /// Runs the body with a session in a directory of its own.
    static func with(
        logQuota: UInt64 = 1 << 20, _ body: (SessionBench) throws -> Void
    ) async throws {
        try await withDirectory { try body(SessionBench($0, logQuota: logQuota)) }
    }

    // MARK: - The program

    /// The program leaves line mode, as full-screen programs do.
    func makeRaw() throws { try #require(orc_make_raw(self.program) >= 0) }

    func write(_ text: String) throws {
        let length = self.session.recorder.length
        try #require(POSIX.writeAll(self.program, Array(text.utf8)))
        for _ in 0..<100 where self.session.recorder.length == length { self.session.turn(milliseconds: 100) }
    }

    /// What the program reads at once; nil when nothing is there.
    func read() -> String? {
        guard POSIX.poll([(self.program, POSIX.readable)], milliseconds: 0)[0] != 0,
            case .bytes(let bytes) = POSIX.read(self.program)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether the next that the program reads is this text. The terminal may pass it on in parts, and a moment later.
    func reads(_ text: String) -> Bool {
        let expected = Array(text.utf8)
        var bytes: [UInt8] = []
        while bytes.count < expected.count, POSIX.poll([(self.program, POSIX.readable)], milliseconds: 5000)[0] != 0,
            case .bytes(let more) = POSIX.read(self.program)
        {
            bytes += more
        }
        return bytes == expected
    }

    func turn(after milliseconds: UInt64 = 0) {
        self.clock.advance(milliseconds)
        self.session.turn(milliseconds: 0)
    }

    // MARK: - Clients

    /// Connects a client; with an epoch it is the owner.
    func connect(epoch: UInt64 = 0, token: [UInt8] = SessionBench.token) throws -> SocketPair {
        let pair = try self.connectStranger()
        pair.send(.hello(token: token, epoch: epoch))
        self.turn()
        return pair
    }

    /// Connects a client that does not identify itself.
    func connectStranger() throws -> SocketPair {
        let pair = try SocketPair()
        self.session.clients.append(SocketClient(fd: pair.shim, since: self.clock.now))
        return pair
    }
}
