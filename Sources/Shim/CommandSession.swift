internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The shim of a command: one sandboxed process with pipes, whose kept output and end are printed as one exit record. It
/// ends its program when asked to stop and when its node's process is gone.
struct CommandSession {
    private let spec: LaunchSpec
    private let signals: Int32
    private let owner: Int32
    private var program: ProgramRun
    private var input: ArraySlice<UInt8>
    private var inputPipe: Int32
    private var outputs: [(fd: Int32, kept: KeptOutput)]
    private var progress = ProgressRelay()
    private var treeGoneAt: UInt64?

    /// How long outputs are awaited after the tree's end, should a descriptor of one stay open.
    private static let drainMilliseconds: UInt64 = 2000
    private static let progressIndex = 3
    private static let resultIndex = 2

    /// Reads the launch file from standard input and runs it; the exit status says only whether the shim
    /// itself could do its work.
    static func run() -> Int32 {
        guard let bytes = POSIX.untilEnd(of: STDIN_FILENO, limit: 16 * 1024 * 1024),
            let spec = Self.decoded(bytes), spec.mode == .command
        else {
            report("standard input is not a launch file for a command")
            return 64
        }
        func fail(_ reason: String) -> Int32 {
            let record = ExitRecord(endedBy: .hostFailed, code: -1, signal: 0, errorOutput: Array(reason.utf8))
            return POSIX.writeAll(STDOUT_FILENO, record.encoded) ? 0 : 70
        }
        // The descriptor of the owner's process is taken before the check that it still is the parent.
        let owner = orc_pidfd_open(spec.ownerPID)
        guard owner >= 0, getppid() == spec.ownerPID else { return fail("its node is gone") }
        guard Launcher.becomeReaper() else { return fail("orphans could not be adopted: errno \(errno)") }
        let signals = orc_signal_descriptor()
        guard signals >= 0, let input = POSIX.pipe(), let output = POSIX.pipe(), let errors = POSIX.pipe(),
            let result = POSIX.pipe(), let progress = POSIX.pipe()
        else { return fail("pipes cannot be created: errno \(errno)") }
        let stdio = [input.reader, output.writer, errors.writer, result.writer, progress.writer]
        switch Launcher.start(spec, pty: -1, stdio: stdio) {
        case .failure(let error): return fail(error.message)
        case .success(let launcher):
            for fd in stdio { close(fd) }
            for fd in [input.writer, output.reader, errors.reader, result.reader, progress.reader] {
                _ = orc_set_nonblocking(fd)
            }
            var session = CommandSession(
                spec: spec, signals: signals, owner: owner,
                program: ProgramRun(
                    tree: launcher, isTerminal: false, stopGrace: spec.stopGrace, egress: spec.egress),
                inputPipe: input.writer,
                outputs: [output.reader, errors.reader, result.reader, progress.reader])
            return POSIX.writeAll(STDOUT_FILENO, session.loop().encoded) ? 0 : 70
        }
    }

    private static func decoded(_ bytes: [UInt8]) -> LaunchSpec? {
        do { return try LaunchSpec(decoding: bytes) } catch { return nil }
    }

    private init(
        spec: LaunchSpec, signals: Int32, owner: Int32, program: ProgramRun, inputPipe: Int32, outputs: [Int32]
    ) {
        self.spec = spec
        self.signals = signals
        self.owner = owner
        self.program = program
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
            let isIdle = !self.program.hasExited && !self.progress.isPending && self.program.killAt == nil
            let events = POSIX.poll(
                [
                    (self.signals, POSIX.readable), (self.owner, POSIX.readable),
                    (self.program.tree.pollDescriptor, POSIX.readable),
                    (self.inputPipe, POSIX.writable), (self.program.handoverDescriptor, POSIX.readable),
                ] + self.outputs.map { ($0.fd, POSIX.readable) },
                milliseconds: self.program.handover.wait(isIdle ? 1000 : 50))
            if events[0] != 0 { self.handleSignals() }
            if events[1] != 0 { self.program.end(.orphaned) }
            if events[2] != 0 { self.program.tree.readReports() }
            if events[3] != 0 { self.feed() }
            for index in self.outputs.indices where events[5 + index] != 0 { self.collect(index) }
            let now = orc_monotonic_milliseconds()
            self.program.handOver(at: now)
            self.program.reap(at: now)
            self.program.killIfOverdue(at: now)
            self.forwardProgress(at: now)
        }
        var record = self.program.record()
        guard self.program.hasExited else { return record }
        (record.output, record.outputLeftOut) = (self.outputs[0].kept.bytes, self.outputs[0].kept.leftOut)
        (record.errorOutput, record.errorOutputLeftOut) = (self.outputs[1].kept.bytes, self.outputs[1].kept.leftOut)
        record.result = Array(self.outputs[Self.resultIndex].kept.bytes.prefix(Int(self.spec.outputLimit)))
        return record
    }

    /// Bytes kept of standard output and of standard error: together, with the lines that say what is left out, they fit
    /// into one limit.
    private static func outputLimit(_ spec: LaunchSpec) -> Int { max(2, Int(spec.outputLimit) / 2 - 192) }

    private mutating func isOver() -> Bool {
        guard self.program.hasExited else { return false }
        // The tree first: an orphan that is left of it holds the pipes open, and only its end drains them. The record is
        // the proof that all of it is gone, so there is none before.
        guard self.program.tree.isTreeGone() else { return false }
        let now = orc_monotonic_milliseconds()
        let goneAt = self.treeGoneAt ?? now
        self.treeGoneAt = goneAt
        // No process is left that could hold them open; should one do so, what it wrote was read meanwhile.
        return self.outputs.allSatisfy { $0.fd < 0 } || now - goneAt > Self.drainMilliseconds
    }

    private mutating func handleSignals() {
        for signal in POSIX.pendingSignals(self.signals) where [SIGTERM, SIGINT, SIGHUP].contains(signal) {
            self.program.stop(at: orc_monotonic_milliseconds())
        }
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
        case .bytes(let bytes) where index == Self.progressIndex: self.progress.take(bytes)
        case .bytes(let bytes): self.outputs[index].kept.append(bytes)
        case .wouldBlock: break
        case .end:
            close(self.outputs[index].fd)
            self.outputs[index].fd = -1
        }
    }

    /// Sends progress to the node on standard error. A node that does not read delays nothing: older progress is dropped.
    private mutating func forwardProgress(at now: UInt64) {
        // A pipe that polls writable takes a line of this length without blocking.
        guard self.progress.isDue(at: now),
            POSIX.poll([(STDERR_FILENO, POSIX.writable)], milliseconds: 0)[0] & POSIX.writable != 0
        else { return }
        _ = POSIX.writeAll(STDERR_FILENO, self.progress.next(at: now))
    }
}
