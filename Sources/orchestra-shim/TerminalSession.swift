internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The shim of an agent: owns the inner terminal, records every byte of it, serves the socket, and ends
/// when the exit was recorded and acknowledged, or nobody came back for it.
struct TerminalSession {
    private let spec: LaunchSpec
    private let directory: String
    private let master: Int32
    private let listener: Int32
    private let signals: Int32
    private let log: Int32
    private var launcher: Launcher

    private var clients: [SocketClient] = []
    private var epoch: UInt64 = 0
    private var logLength: UInt64 = 0
    private var isLogBroken = false
    private var paneOffset: UInt64 = 0
    private var isPaneOpen = true {
        didSet {
            guard oldValue, !self.isPaneOpen else { return }
            for index in self.clients.indices where self.clients[index].role == .owner {
                self.clients[index].send(.viewLost)
            }
        }
    }
    private var input: [(id: UInt64, bytes: ArraySlice<UInt8>)] = []
    private var inputCount = 0
    /// The largest input id taken so far; an owner that comes back may repeat what it sent.
    private var lastInputID: UInt64 = 0
    private var isTerminalOpen = true
    private var endedBy = ExitRecord.EndedBy.itself
    private var exit: orc_exit?
    private var exitSeenAt: UInt64 = 0
    private var record: ExitRecord?
    private var ownerSeenAt = orc_monotonic_milliseconds()
    private var isReaped = false

    private static let inputLimit = 1024 * 1024
    /// How long output is awaited after the program's end, should a descriptor of it stay open.
    private static let drainMilliseconds: UInt64 = 2000

    /// Starts the program; nil with the reason printed when that fails, after an exit record was left.
    static func start(directory: String) -> TerminalSession? {
        guard let bytes = POSIX.wholeFile("\(directory)/\(ShimFiles.launch)"),
            let spec = try? LaunchSpec(decoding: bytes), spec.mode == .terminal
        else {
            report("the launch file of \(directory) cannot be read")
            return nil
        }
        func fail(_ reason: String) -> TerminalSession? {
            report(reason)
            let record = ExitRecord(endedBy: .launchFailed, code: -1, signal: 0, errorOutput: Array(reason.utf8))
            _ = POSIX.replaceFile("\(directory)/\(ShimFiles.exit)", with: record.encoded)
            return nil
        }
        guard Launcher.becomeReaper() else { return fail("orphans could not be adopted: errno \(errno)") }
        let signals = orc_signal_descriptor()
        guard signals >= 0 else { return fail("signals cannot be read: errno \(-signals)") }
        let log = POSIX.openLog("\(directory)/\(ShimFiles.log)")
        guard log >= 0 else { return fail("the log cannot be opened: errno \(errno)") }
        let master = orc_pty_open(spec.columns, spec.rows)
        guard master >= 0 else { return fail("no terminal can be had: errno \(-master)") }
        let listener = unsafe orc_listen_unix("\(directory)/\(ShimFiles.socket)")
        guard listener >= 0 else { return fail("the socket cannot be made: errno \(-listener)") }
        switch Launcher.start(spec, pty: master, stdio: [-1, -1, -1]) {
        case .failure(let error): return fail(error.message)
        case .success(let launcher):
            return TerminalSession(
                spec: spec, directory: directory, master: master, listener: listener, signals: signals, log: log,
                launcher: launcher)
        }
    }

    private init(
        spec: LaunchSpec, directory: String, master: Int32, listener: Int32, signals: Int32, log: Int32,
        launcher: Launcher
    ) {
        self.spec = spec
        self.directory = directory
        self.master = master
        self.listener = listener
        self.signals = signals
        self.log = log
        self.launcher = launcher
        _ = orc_set_nonblocking(STDOUT_FILENO)
        _ = orc_set_nonblocking(STDIN_FILENO)
        _ = orc_make_raw(STDIN_FILENO)
    }

    mutating func run() {
        while !self.isOver {
            let events = POSIX.poll(self.interests(), milliseconds: 250)
            if events[0] != 0 { self.handleSignals() }
            if events[1] != 0 { self.launcher.readReports() }
            if events[2] != 0 { self.handleTerminal(events[2]) }
            if events[3] != 0 { self.accept() }
            if events[4] & POSIX.ended != 0 { self.isPaneOpen = false }
            if events[4] & POSIX.readable != 0 { self.discardPaneInput() }
            // A connection accepted just now has no event yet.
            for index in self.clients.indices where 6 + index < events.count && events[6 + index] != 0 {
                self.serve(index)
            }
            self.pumpViews()
            self.removeGone()
            self.judge()
        }
        for client in self.clients { close(client.fd) }
        _ = unsafe unlink("\(self.directory)/\(ShimFiles.socket)")
    }

    private var isOver: Bool {
        guard self.record != nil else { return false }
        if self.isReaped { return true }
        return orc_monotonic_milliseconds() - max(self.ownerSeenAt, self.exitSeenAt) > self.graceMilliseconds
            && !self.clients.contains { $0.role == .owner }
    }

    private var graceMilliseconds: UInt64 { UInt64(self.spec.orphanGrace) * 1000 }

    private func interests() -> [(fd: Int32, events: Int16)] {
        let isTerminalPolled = self.isTerminalOpen
        let paneWants = self.isPaneOpen && self.paneOffset < self.logLength
        return [
            (self.signals, POSIX.readable),
            (self.launcher.pollDescriptor, POSIX.readable),
            (isTerminalPolled ? self.master : -1, POSIX.readable | (self.input.isEmpty ? 0 : POSIX.writable)),
            (self.listener, self.clients.count < 16 ? POSIX.readable : 0),
            (self.isPaneOpen ? STDIN_FILENO : -1, POSIX.readable),
            (paneWants ? STDOUT_FILENO : -1, POSIX.writable),
        ] + self.clients.map { ($0.fd, POSIX.readable | ($0.wantsToWrite ? POSIX.writable : 0)) }
    }

    // MARK: - The program

    private mutating func handleSignals() {
        while true {
            let number = orc_next_signal(self.signals)
            guard number > 0 else { return }
            switch number {
            case SIGCHLD: self.reapProgram()
            case SIGTERM, SIGINT: self.end(.stop)
            default: break  // SIGHUP: the outer terminal died, the program lives on. SIGWINCH: the size is fixed.
            }
        }
    }

    private mutating func reapProgram() {
        guard self.exit == nil else { return }
        var result = orc_exit()
        guard unsafe orc_reap(self.launcher.pid, &result) == 1 else { return }
        self.exit = result
        self.exitSeenAt = orc_monotonic_milliseconds()
    }

    private mutating func end(_ reason: ExitRecord.EndedBy) {
        guard self.exit == nil, self.endedBy == .itself else { return }
        self.endedBy = reason
        self.launcher.killTree()
    }

    private mutating func handleTerminal(_ events: Int16) {
        if events & POSIX.writable != 0 { self.writeInput() }
        guard events & (POSIX.readable | POSIX.ended) != 0 else { return }
        switch POSIX.read(self.master) {
        case .bytes(let bytes): self.append(bytes)
        case .wouldBlock: break
        case .end: self.isTerminalOpen = false
        }
    }

    private mutating func append(_ bytes: [UInt8]) {
        guard !self.isLogBroken else { return }
        guard POSIX.writeAll(self.log, bytes) else {
            // The disk is full: an agent that cannot be recorded must not go on. Part may have been written.
            self.isLogBroken = true
            self.logLength = POSIX.length(of: self.log)
            self.end(.logFailed)
            return
        }
        self.logLength += UInt64(bytes.count)
        if self.logLength > self.spec.logQuota { self.end(.logQuota) }
    }

    private mutating func writeInput() {
        while var first = self.input.first {
            guard let count = POSIX.write(self.master, first.bytes), count > 0 else { return }
            first.bytes = first.bytes.dropFirst(count)
            self.inputCount -= count
            if first.bytes.isEmpty {
                self.input.removeFirst()
                if let index = self.clients.firstIndex(where: { $0.role == .owner }) {
                    self.clients[index].send(.written(id: first.id))
                }
            } else {
                self.input[0] = first
            }
        }
    }

    // MARK: - The socket

    private mutating func accept() {
        let fd = orc_accept_same_user(self.listener)
        if fd >= 0 { self.clients.append(SocketClient(fd: fd)) }
    }

    private mutating func serve(_ index: Int) {
        for frame in self.clients[index].receive() { self.handle(frame, from: index) }
        self.clients[index].flush()
    }

    private mutating func handle(_ frame: ShimFrame, from index: Int) {
        if case .hello(let token, let epoch) = frame {
            self.greet(index, token: token, epoch: epoch)
            return
        }
        switch (frame, self.clients[index].role) {
        case (.watch(let offset), .owner), (.watch(let offset), .viewer): self.clients[index].watchOffset = offset
        case (.input(let id, let bytes), .owner): self.enqueue(id, bytes, from: index)
        case (.resize(let columns, let rows), .owner): _ = orc_pty_resize(self.master, columns, rows)
        case (.stop, .owner): self.end(.stop)
        case (.reap, .owner): self.isReaped = self.record != nil
        default: self.refuse(index, "this connection may not ask for that")
        }
    }

    private mutating func greet(_ index: Int, token: [UInt8], epoch: UInt64) {
        guard isEqualInConstantTime(token, self.spec.token) else { return self.refuse(index, "the token is wrong") }
        if epoch == 0 {
            self.clients[index].role = .viewer
        } else {
            guard epoch >= self.epoch else { return self.refuse(index, "a newer owner has come") }
            self.epoch = epoch
            for other in self.clients.indices where self.clients[other].role == .owner && other != index {
                self.refuse(other, "a newer owner has come")
            }
            self.clients[index].role = .owner
        }
        self.clients[index].send(.welcome(launcherPID: self.launcher.pid, logLength: self.logLength))
        if !self.isPaneOpen, epoch > 0 { self.clients[index].send(.viewLost) }
        self.tellEnd(index)
    }

    private mutating func refuse(_ index: Int, _ reason: String) {
        self.clients[index].send(.refused(reason: reason))
        self.clients[index].flush()
        self.clients[index].drop()
    }

    private mutating func enqueue(_ id: UInt64, _ bytes: [UInt8], from index: Int) {
        guard self.exit == nil else { return }  // the end itself is told in a moment
        guard self.inputCount + bytes.count <= Self.inputLimit else {
            return self.clients[index].send(.inputRefused(id: id, reason: "the input queue is full"))
        }
        guard id > self.lastInputID else {
            if !self.input.contains(where: { $0.id == id }) { self.clients[index].send(.written(id: id)) }
            return
        }
        self.lastInputID = id
        self.inputCount += bytes.count
        self.input.append((id, bytes[...]))
    }

    // MARK: - Views

    /// Feeds the pane and the watchers from the log, as far as each can take it now.
    private mutating func pumpViews() {
        while self.isPaneOpen, self.paneOffset < self.logLength {
            let bytes = POSIX.read(self.log, at: self.paneOffset, limit: 32 * 1024)
            guard let count = POSIX.write(STDOUT_FILENO, bytes[...]) else {
                self.isPaneOpen = false
                break
            }
            if count == 0 { break }
            self.paneOffset += UInt64(count)
        }
        for index in self.clients.indices {
            while let offset = self.clients[index].watchOffset, offset < self.logLength,
                self.clients[index].outbound.count < SocketClient.outboundLimit, !self.clients[index].isGone
            {
                let bytes = POSIX.read(self.log, at: offset, limit: 32 * 1024)
                if bytes.isEmpty { break }
                self.clients[index].send(.output(offset: offset, bytes: bytes))
                self.clients[index].watchOffset = offset + UInt64(bytes.count)
                self.clients[index].flush()
            }
            self.tellEnd(index)
            self.clients[index].flush()
        }
    }

    /// Tells of the end once; a watcher only after it has all of the output.
    private mutating func tellEnd(_ index: Int) {
        guard let record = self.record, self.clients[index].role != .stranger, !self.clients[index].knowsEnd else {
            return
        }
        if let offset = self.clients[index].watchOffset, offset < self.logLength { return }
        if self.clients[index].role == .viewer, self.clients[index].watchOffset == nil { return }
        self.clients[index].knowsEnd = true
        self.clients[index].send(.exited(record))
    }

    private mutating func discardPaneInput() {
        // Viewers attach read-only; what is typed at the pane is not the agent's input, which is audited.
        if case .end = POSIX.read(STDIN_FILENO) { self.isPaneOpen = false }
    }

    private mutating func removeGone() {
        if self.clients.contains(where: { $0.role == .owner && !$0.isGone }) {
            self.ownerSeenAt = orc_monotonic_milliseconds()
        }
        for client in self.clients where client.isGone { close(client.fd) }
        self.clients.removeAll { $0.isGone }
    }

    /// What time and the program's end ask for.
    private mutating func judge() {
        let now = orc_monotonic_milliseconds()
        if self.exit == nil {
            self.reapProgram()
            if now - self.ownerSeenAt > self.graceMilliseconds { self.end(.orphaned) }
            return
        }
        guard self.record == nil, let exit = self.exit else { return }
        // The tree first: an orphan that is left of it holds the terminal open.
        let isTreeGone = self.launcher.isTreeGone()
        let isDrained = !self.isTerminalOpen || now - self.exitSeenAt > Self.drainMilliseconds
        guard isDrained, isTreeGone || now - self.exitSeenAt > Self.drainMilliseconds else { return }
        self.finish(exit)
    }

    private mutating func finish(_ exit: orc_exit) {
        self.launcher.readReports()
        let record = ExitRecord(
            endedBy: self.hasFailedToLaunch(exit) ? .launchFailed : self.endedBy, code: exit.code, signal: exit.signal,
            userMicroseconds: exit.user_microseconds, systemMicroseconds: exit.system_microseconds,
            maxRSSKiB: exit.max_rss_kib, logLength: self.logLength)
        _ = fsync(self.log)
        _ = POSIX.replaceFile("\(self.directory)/\(ShimFiles.exit)", with: record.encoded)
        self.record = record
        self.pumpViews()
    }

    /// The launcher says why it failed as its only output; a program that forges that forges its own end.
    private func hasFailedToLaunch(_ exit: orc_exit) -> Bool {
        guard self.endedBy == .itself else { return false }
        if !self.launcher.hasReadInit { return true }
        return Launcher.hasRefused(exit.code, words: POSIX.read(self.log, at: 0, limit: 64))
    }
}

/// Compares without telling by time where the difference is.
func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}

func report(_ text: String) { _ = POSIX.writeAll(STDERR_FILENO, Array("orchestra-shim: \(text)\n".utf8)) }
