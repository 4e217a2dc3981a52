internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The shim of a command: one sandboxed process with pipes, whose kept output and end are printed as one
/// exit record. It ends its program when asked to stop and when the node that asked is gone.
struct CommandSession {
    private let spec: LaunchSpec
    private let signals: Int32
    private let owner: Int32
    private var launcher: Launcher
    private var input: ArraySlice<UInt8>
    private var inputPipe: Int32
    private var outputs: [(fd: Int32, kept: KeptOutput)]
    private var endedBy = ExitRecord.EndedBy.itself
    private var exit: orc_exit?
    /// When a program that was asked to end is ended.
    private var killAt: UInt64?
    private var treeGoneAt: UInt64?

    /// What the program said of its progress and is not handed on yet: the newest whole line, and the begun one.
    private var newestProgress: [UInt8] = []
    private var begunProgress: [UInt8] = []
    private var progressAt: UInt64 = 0

    /// How long outputs are awaited after the tree's end, should a descriptor of one stay open.
    private static let drainMilliseconds: UInt64 = 2000
    /// Progress is handed on at most so often, and cut at so many bytes a line.
    private static let progressInterval: UInt64 = 100
    private static let progressLimit = 512
    private static let progressIndex = 3
    private static let resultIndex = 2

    /// Reads the launch file from standard input and runs it; the exit status says only whether the shim
    /// itself could do its work.
    static func run() -> Int32 {
        guard let bytes = POSIX.untilEnd(of: STDIN_FILENO, limit: 16 * 1024 * 1024),
            let spec = Self.decoded(bytes), spec.mode == .command
        else {
            report("standard input holds no launch file for a command")
            return 64
        }
        func fail(_ reason: String) -> Int32 {
            let record = ExitRecord(endedBy: .hostFailed, code: -1, signal: 0, errorOutput: Array(reason.utf8))
            return POSIX.writeAll(STDOUT_FILENO, record.encoded) ? 0 : 70
        }
        // The descriptor of the owner's process is taken before the check that it still is the parent.
        let owner = orc_pidfd_open(spec.ownerPID)
        guard owner >= 0, getppid() == spec.ownerPID else { return fail("the node that asked is gone") }
        guard Launcher.becomeReaper() else { return fail("orphans could not be adopted: errno \(errno)") }
        let signals = orc_signal_descriptor()
        guard signals >= 0, let input = POSIX.pipe(), let output = POSIX.pipe(), let errors = POSIX.pipe(),
            let result = POSIX.pipe(), let progress = POSIX.pipe()
        else { return fail("no pipes can be had: errno \(errno)") }
        let stdio = [input.reader, output.writer, errors.writer, result.writer, progress.writer]
        switch Launcher.start(spec, pty: -1, stdio: stdio) {
        case .failure(let error): return fail(error.message)
        case .success(let launcher):
            for fd in stdio { close(fd) }
            for fd in [input.writer, output.reader, errors.reader, result.reader, progress.reader] {
                _ = orc_set_nonblocking(fd)
            }
            var session = CommandSession(
                spec: spec, signals: signals, owner: owner, launcher: launcher, inputPipe: input.writer,
                outputs: [output.reader, errors.reader, result.reader, progress.reader])
            return POSIX.writeAll(STDOUT_FILENO, session.loop().encoded) ? 0 : 70
        }
    }

    private static func decoded(_ bytes: [UInt8]) -> LaunchSpec? {
        do { return try LaunchSpec(decoding: bytes) } catch { return nil }
    }

    private init(
        spec: LaunchSpec, signals: Int32, owner: Int32, launcher: Launcher, inputPipe: Int32, outputs: [Int32]
    ) {
        self.spec = spec
        self.signals = signals
        self.owner = owner
        self.launcher = launcher
        self.input = spec.input[...]
        self.inputPipe = inputPipe
        // A result is JSON, which has no use of its end alone; it is kept whole, or what is missing is noticed.
        let shared = Self.outputLimit(spec)
        self.outputs = outputs.enumerated().map { index, fd in
            (fd, KeptOutput(limit: index == Self.resultIndex ? 2 * Int(spec.outputLimit) : shared))
        }
    }

    private mutating func loop() -> ExitRecord {
        while !self.isOver() {
            let events = POSIX.poll(
                [
                    (self.signals, POSIX.readable), (self.owner, POSIX.readable),
                    (self.launcher.pollDescriptor, POSIX.readable),
                    (self.inputPipe, POSIX.writable),
                ] + self.outputs.map { ($0.fd, POSIX.readable) },
                milliseconds: self.exit == nil
                    ? self.newestProgress.isEmpty && self.killAt == nil ? 1000 : 50 : 50)
            if events[0] != 0 { self.handleSignals() }
            if events[1] != 0 { self.end(.orphaned) }
            if events[2] != 0 { self.launcher.readReports() }
            if events[3] != 0 { self.feed() }
            for index in self.outputs.indices where events[4 + index] != 0 { self.collect(index) }
            self.reapProgram()
            if let killAt = self.killAt, orc_monotonic_milliseconds() >= killAt { self.end(.stop) }
            self.handOnProgress()
        }
        guard let exit = self.exit else { return ExitRecord(endedBy: .hostFailed, code: -1, signal: 0) }
        var record = self.launcher.record(of: exit, endedBy: self.endedBy)
        (record.output, record.outputLeftOut) = (self.outputs[0].kept.bytes, self.outputs[0].kept.leftOut)
        (record.errorOutput, record.errorOutputLeftOut) = (self.outputs[1].kept.bytes, self.outputs[1].kept.leftOut)
        record.result = Array(self.outputs[Self.resultIndex].kept.bytes.prefix(Int(self.spec.outputLimit)))
        return record
    }

    /// Bytes kept of standard output and of standard error: together, with the lines that say what is left out, they fit
    /// into one limit.
    private static func outputLimit(_ spec: LaunchSpec) -> Int { max(2, Int(spec.outputLimit) / 2 - 192) }

    private mutating func isOver() -> Bool {
        guard self.exit != nil else { return false }
        // The tree first: an orphan that is left of it holds the pipes open, and only its end drains them. The record is
        // the proof that all of it is gone, so there is none before.
        guard self.launcher.isTreeGone() else { return false }
        let now = orc_monotonic_milliseconds()
        let goneAt = self.treeGoneAt ?? now
        self.treeGoneAt = goneAt
        // Nobody is left who could hold them open; should somebody all the same, what they held was read meanwhile.
        return self.outputs.allSatisfy { $0.fd < 0 } || now - goneAt > Self.drainMilliseconds
    }

    private mutating func handleSignals() {
        while true {
            let number = orc_next_signal(self.signals)
            guard number > 0 else { return }
            if number == SIGTERM || number == SIGINT || number == SIGHUP { self.stop() }
        }
    }

    private mutating func end(_ reason: ExitRecord.EndedBy) {
        guard self.exit == nil, self.endedBy == .itself || self.killAt != nil else { return }
        if self.endedBy == .itself { self.endedBy = reason }
        self.killAt = nil
        self.launcher.killTree()
    }

    /// Asks the program to end, and ends it when it takes too long.
    private mutating func stop() {
        guard self.exit == nil, self.endedBy == .itself else { return }
        guard self.launcher.askToEnd(isTerminal: false) else { return self.end(.stop) }
        self.endedBy = .stop
        self.killAt = orc_monotonic_milliseconds() + UInt64(self.spec.stopGrace)
    }

    private mutating func reapProgram() {
        guard self.exit == nil else { return }
        var result = orc_exit()
        guard unsafe orc_reap(self.launcher.pid, &result) == 1 else { return }
        self.exit = result
    }

    private mutating func feed() {
        while !self.input.isEmpty {
            guard let count = POSIX.write(self.inputPipe, self.input) else {
                self.input = []
                break
            }
            if count == 0 { return }
            self.input = self.input.dropFirst(count)
        }
        close(self.inputPipe)
        self.inputPipe = -1
    }

    /// Keeps what the limit allows and reads on, so that the program is never blocked by us.
    private mutating func collect(_ index: Int) {
        switch POSIX.read(self.outputs[index].fd) {
        case .bytes(let bytes) where index == Self.progressIndex: self.takeProgress(bytes)
        case .bytes(let bytes): self.outputs[index].kept.append(bytes)
        case .wouldBlock: break
        case .end:
            close(self.outputs[index].fd)
            self.outputs[index].fd = -1
        }
    }

    /// Lines of `percent text`; of several at once only the newest counts.
    private mutating func takeProgress(_ bytes: [UInt8]) {
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if self.begunProgress.count < Self.progressLimit { self.begunProgress.append(byte) }
                continue
            }
            self.newestProgress = self.begunProgress
            self.begunProgress = []
        }
    }

    /// To the node, by standard error: a line each, at most one in an interval.
    private mutating func handOnProgress() {
        let now = orc_monotonic_milliseconds()
        guard !self.newestProgress.isEmpty, now - self.progressAt >= Self.progressInterval else { return }
        self.progressAt = now
        let line = Array(ShimProgress.mark.utf8) + self.newestProgress + [UInt8(ascii: "\n")]
        self.newestProgress = []
        _ = POSIX.writeAll(STDERR_FILENO, line)
    }
}
