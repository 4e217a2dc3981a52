internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The shim of one sandboxed program that uses the shim's own input and output, for a person who tries something.
///
/// A terminal is not handed in: the program gets one of its own, whose bytes are carried over, so that nothing of what
/// a terminal lets programs do to each other can reach the person's shell.
struct DirectSession {
    private let signals: Int32
    private let master: Int32
    private var launcher: Launcher
    private var exit: orc_exit?
    private var exitSeenAt: UInt64 = 0
    private var isInputOpen = true
    private var isTerminalOpen: Bool
    private var pending: ArraySlice<UInt8> = []

    private static let drainMilliseconds: UInt64 = 2000

    /// Reads the launch file from the descriptor with this number; returns the program's status.
    static func run(descriptor: String) -> Int32 {
        guard let number = Int32(descriptor), let bytes = POSIX.untilEnd(of: number, limit: 16 * 1024 * 1024),
            let spec = try? LaunchSpec(decoding: bytes), spec.mode == .direct
        else {
            report("the launch file cannot be read")
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
                report("no terminal can be had: errno \(-master)")
                return 70
            }
            _ = orc_pty_copy_size(STDIN_FILENO, master)
        }
        switch Launcher.start(spec, pty: master, stdio: isTerminal ? [-1, -1, -1] : [0, 1, 2]) {
        case .failure(let error):
            report(error.message)
            return GuardWords.refusal
        case .success(let launcher):
            var session = DirectSession(signals: signals, master: master, launcher: launcher)
            let before = isTerminal ? POSIX.terminalSettings(STDIN_FILENO) : nil
            if isTerminal { _ = orc_make_raw(STDIN_FILENO) }
            defer { if let before { POSIX.setTerminal(STDIN_FILENO, before) } }
            return session.loop()
        }
    }

    private init(signals: Int32, master: Int32, launcher: Launcher) {
        self.signals = signals
        self.master = master
        self.launcher = launcher
        self.isTerminalOpen = master >= 0
    }

    private mutating func loop() -> Int32 {
        while true {
            let events = POSIX.poll(
                [
                    (self.signals, POSIX.readable), (self.launcher.pollDescriptor, POSIX.readable),
                    (
                        self.isTerminalOpen ? self.master : -1,
                        POSIX.readable | (self.pending.isEmpty ? 0 : POSIX.writable)
                    ),
                    (self.master >= 0 && self.isInputOpen && self.pending.isEmpty ? STDIN_FILENO : -1, POSIX.readable),
                ], milliseconds: self.exit == nil ? 1000 : 20)
            if events[0] != 0 { self.handleSignals() }
            if events[1] != 0 { self.launcher.readReports() }
            if events[2] & POSIX.writable != 0 { self.writeInput() }
            if events[2] & (POSIX.readable | POSIX.ended) != 0 { self.showOutput() }
            if events[3] != 0 { self.readInput() }
            if self.exit == nil { self.reapProgram() }
            if let exit = self.exit, self.isOver() { return exit.signal == 0 ? exit.code : 128 + exit.signal }
        }
    }

    private mutating func isOver() -> Bool {
        // The tree first: what is left of it holds the terminal open.
        guard self.launcher.isTreeGone() else { return false }
        return !self.isTerminalOpen || orc_monotonic_milliseconds() - self.exitSeenAt > Self.drainMilliseconds
    }

    private mutating func handleSignals() {
        while true {
            switch orc_next_signal(self.signals) {
            case SIGTERM, SIGINT, SIGHUP: if self.exit == nil { self.launcher.killTree() }
            case SIGWINCH where self.master >= 0: _ = orc_pty_copy_size(STDIN_FILENO, self.master)
            case let number where number <= 0: return
            default: break
            }
        }
    }

    private mutating func reapProgram() {
        var result = orc_exit()
        guard unsafe orc_reap(self.launcher.pid, &result) == 1 else { return }
        self.exit = result
        self.exitSeenAt = orc_monotonic_milliseconds()
    }

    private mutating func readInput() {
        switch POSIX.read(STDIN_FILENO) {
        case .bytes(let bytes): self.pending = bytes[...]
        case .wouldBlock: break
        case .end:
            // What a terminal's reader sees as the end of input.
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

extension POSIX {
    static func terminalSettings(_ fd: Int32) -> termios? {
        var settings = termios()
        return unsafe tcgetattr(fd, &settings) == 0 ? settings : nil
    }

    static func setTerminal(_ fd: Int32, _ settings: termios) {
        var settings = settings
        _ = unsafe tcsetattr(fd, TCSADRAIN, &settings)
    }
}
