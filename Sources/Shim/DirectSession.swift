internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The shim of one sandboxed program that uses the shim's own input and output, for interactive use.
///
/// The caller's terminal is not passed in: the program gets one of its own, whose bytes are copied, so that nothing that a
/// terminal lets programs do to each other can reach the caller's shell. Queries of the program are answered by the caller's
/// terminal.
struct DirectSession {
    private let signals: Int32
    private let master: Int32
    private var program: ProgramRun
    private var isInputOpen = true
    private var isTerminalOpen: Bool
    private var pending: ArraySlice<UInt8> = []

    private static let drainMilliseconds: UInt64 = 2000

    /// Reads the launch file from the descriptor with this number; returns the program's status.
    static func run(descriptor: String) -> Int32 {
        guard let number = Int32(descriptor) else {
            report("'\(descriptor)' is not the number of a descriptor")
            return 64
        }
        let spec: LaunchSpec
        switch LaunchFile.decode(
            POSIX.untilEnd(of: number, limit: 16 * 1024 * 1024), named: "the launch file", for: .direct)
        {
        case .success(let read): spec = read
        case .failure(let error):
            report(error.message)
            return 64
        }
        close(number)
        if number == STDIN_FILENO { _ = unsafe open("/dev/null", O_RDONLY) }
        let signals = orc_signal_descriptor()
        guard signals >= 0, Launcher.becomeReaper() else {
            report("the sandbox cannot be watched: errno \(errno)")
            return 70
        }
        let isTerminal = spec.columns > 0
        let master = isTerminal ? orc_pty_open(spec.columns, spec.rows) : -1
        if isTerminal {
            guard master >= 0 else {
                report("no terminal can be opened: errno \(-master)")
                return 70
            }
            _ = orc_pty_copy_size(STDIN_FILENO, master)
        }
        switch Launcher.start(spec, pty: master, stdio: isTerminal ? [-1, -1, -1] : [0, 1, 2]) {
        case .failure(let error):
            report(error.message)
            return GuardWords.refusal
        case .success(let launcher):
            var session = DirectSession(
                signals: signals, master: master,
                program: ProgramRun(
                    tree: launcher, isTerminal: isTerminal, stopGrace: spec.stopGrace, egress: spec.egress))
            let before = isTerminal ? POSIX.terminalSettings(STDIN_FILENO) : nil
            if isTerminal { _ = orc_make_raw(STDIN_FILENO) }
            defer { if let before { POSIX.setTerminal(STDIN_FILENO, before) } }
            return session.loop()
        }
    }

    private init(signals: Int32, master: Int32, program: ProgramRun) {
        self.signals = signals
        self.master = master
        self.program = program
        self.isTerminalOpen = master >= 0
    }

    private mutating func loop() -> Int32 {
        while true {
            let events = POSIX.poll(
                [
                    (self.signals, POSIX.readable), (self.program.tree.pollDescriptor, POSIX.readable),
                    (
                        self.isTerminalOpen ? self.master : -1,
                        POSIX.readable | (self.pending.isEmpty ? 0 : POSIX.writable)
                    ),
                    (self.master >= 0 && self.isInputOpen && self.pending.isEmpty ? STDIN_FILENO : -1, POSIX.readable),
                    (self.program.handoverDescriptor, POSIX.readable),
                ], milliseconds: self.program.handover.wait(self.program.hasExited ? 20 : 1000))
            if events[0] != 0 { self.handleSignals() }
            if events[1] != 0 { self.program.tree.readReports() }
            if events[2] & POSIX.writable != 0 { self.writeInput() }
            if events[2] & (POSIX.readable | POSIX.ended) != 0 { self.showOutput() }
            if events[3] != 0 { self.readInput() }
            self.program.reap(at: orc_monotonic_milliseconds())
            self.program.handOver(at: orc_monotonic_milliseconds())
            if let exit = self.program.exit, self.isOver() { return exit.signal == 0 ? exit.code : 128 + exit.signal }
        }
    }

    private mutating func isOver() -> Bool {
        // The tree first: what is left of it holds the terminal open.
        guard self.program.tree.isTreeGone() else { return false }
        return !self.isTerminalOpen || orc_monotonic_milliseconds() - self.program.exitSeenAt > Self.drainMilliseconds
    }

    private mutating func handleSignals() {
        for signal in POSIX.pendingSignals(self.signals) {
            switch signal {
            case SIGTERM, SIGINT, SIGHUP: self.program.end(.stop)
            case SIGWINCH where self.master >= 0: _ = orc_pty_copy_size(STDIN_FILENO, self.master)
            default: break
            }
        }
    }

    private mutating func readInput() {
        switch POSIX.read(STDIN_FILENO) {
        case .bytes(let bytes): self.pending = bytes[...]
        case .wouldBlock: break
        case .end:
            // ^D, which a terminal's reader sees as the end of input.
            self.isInputOpen = false
            self.pending = [4]
        }
        self.writeInput()
    }

    private mutating func writeInput() {
        guard let count = POSIX.write(self.master, self.pending) else {
            self.pending = []
            return
        }
        self.pending = self.pending.dropFirst(count)
    }

    private mutating func showOutput() {
        switch POSIX.read(self.master) {
        case .bytes(let bytes): _ = POSIX.writeAll(STDOUT_FILENO, bytes)
        case .wouldBlock: break
        case .end: self.isTerminalOpen = false
        }
    }
}
