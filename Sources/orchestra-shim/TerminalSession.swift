internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The shim of an agent: owns the inner terminal, records every byte of it, serves the socket, and ends
/// when the exit was recorded and acknowledged, or nobody came back for it.
struct TerminalSession {
    let spec: LaunchSpec
    let directory: String
    let master: Int32
    let listener: Int32
    let signals: Int32
    let eventPipe: Int32
    let eventFile: Int32
    let startedAt: UInt64
    var recorder: Recorder
    var launcher: Launcher

    var clients: [SocketClient] = []
    var epoch: UInt64 = 0
    var ledger = MessageLedger()
    var pasteMode = PasteModeScanner()
    var events = EventLog()
    var isEventPipeOpen = true
    var eventBytes = 0
    var paneOffset: UInt64 = 0
    var isPaneOpen = true {
        didSet {
            guard oldValue, !self.isPaneOpen else { return }
            for index in self.clients.indices where self.clients[index].role == .owner {
                self.clients[index].send(.viewLost)
            }
        }
    }
    var input = InputQueue()
    var isTerminalOpen = true
    var endedBy = ExitRecord.EndedBy.itself
    var exit: orc_exit?
    var exitSeenAt: UInt64 = 0
    var record: ExitRecord?
    var ownerSeenAt = orc_monotonic_milliseconds()
    var isReaped = false
    var isFrozen = false
    /// When a program that was asked to end is ended.
    var killAt: UInt64?

    /// How often it is looked whether the program has read what was written.
    private static let consumptionMilliseconds: Int32 = 5
    /// Bytes of events that are kept in their file.
    private static let eventFileLimit = 16 * 1024 * 1024
    /// How long output is awaited after the program's end, should a descriptor of it stay open.
    private static let drainMilliseconds: UInt64 = 2000

    /// Starts the program; nil with the reason printed when that fails, after an exit record was left.
    static func start(directory: String) -> TerminalSession? {
        guard let bytes = POSIX.wholeFile("\(directory)/\(ShimFiles.launch)"),
            var spec = try? LaunchSpec(decoding: bytes), spec.mode == .terminal
        else {
            report("the launch file of \(directory) cannot be read")
            return nil
        }
        func fail(_ reason: String) -> TerminalSession? {
            report(reason)
            let record = ExitRecord(endedBy: .hostFailed, code: -1, signal: 0, errorOutput: Array(reason.utf8))
            _ = POSIX.replaceFile("\(directory)/\(ShimFiles.exit)", with: record.encoded)
            return nil
        }
        if spec.lacksSecrets {
            guard let secrets = Self.secrets(in: directory) else {
                return fail("the node did not hand over the secrets")
            }
            spec.secrets = secrets
        }
        guard Launcher.becomeReaper() else { return fail("orphans could not be adopted: errno \(errno)") }
        let signals = orc_signal_descriptor()
        guard signals >= 0 else { return fail("signals cannot be read: errno \(-signals)") }
        let start = orc_monotonic_milliseconds()
        guard
            let recorder = Recorder(
                directory: directory, start: start, ringQuota: spec.keepsNewestLog ? spec.logQuota : nil)
        else {
            return fail("the log cannot be opened: errno \(errno)")
        }
        let eventFile = POSIX.openLog("\(directory)/\(ShimFiles.events)")
        guard eventFile >= 0, let events = POSIX.pipe() else {
            return fail("no pipe for events can be had: errno \(errno)")
        }
        _ = orc_set_nonblocking(events.reader)
        let master = orc_pty_open(spec.columns, spec.rows)
        guard master >= 0 else { return fail("no terminal can be had: errno \(-master)") }
        let listener = unsafe orc_listen_unix("\(directory)/\(ShimFiles.socket)")
        guard listener >= 0 else { return fail("the socket cannot be made: errno \(-listener)") }
        switch Launcher.start(spec, pty: master, stdio: [-1, -1, -1, events.writer]) {
        case .failure(let error): return fail(error.message)
        case .success(let launcher):
            close(events.writer)
            spec.secrets = []
            return TerminalSession(
                spec: spec, directory: directory, master: master, listener: listener, signals: signals,
                eventPipe: events.reader, eventFile: eventFile, startedAt: start, recorder: recorder, launcher: launcher
            )
        }
    }

    /// Reads the secrets from the node's pipe, for a few seconds.
    private static func secrets(in directory: String) -> [LaunchSpec.Secret]? {
        let pipe = unsafe open("\(directory)/\(ShimFiles.secrets)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard pipe >= 0 else { return nil }
        defer { close(pipe) }
        var bytes: [UInt8] = []
        let deadline = orc_monotonic_milliseconds() + 10_000
        while orc_monotonic_milliseconds() < deadline {
            // Before the node has opened its end there is nothing to wait for, and the end is no end.
            let events = POSIX.poll([(pipe, POSIX.readable)], milliseconds: 5)
            guard events[0] & POSIX.readable != 0, case .bytes(let more) = POSIX.read(pipe) else {
                if let secrets = try? LaunchSpec.Secret.list(decoding: bytes), !secrets.isEmpty { return secrets }
                if events[0] != 0 { _ = POSIX.poll([], milliseconds: 2) }
                continue
            }
            bytes += more
        }
        return nil
    }

    private init(
        spec: LaunchSpec, directory: String, master: Int32, listener: Int32, signals: Int32, eventPipe: Int32,
        eventFile: Int32, startedAt: UInt64, recorder: Recorder, launcher: Launcher
    ) {
        self.spec = spec
        self.directory = directory
        self.master = master
        self.listener = listener
        self.signals = signals
        self.eventPipe = eventPipe
        self.eventFile = eventFile
        self.startedAt = startedAt
        self.recorder = recorder
        self.launcher = launcher
        _ = orc_set_nonblocking(STDOUT_FILENO)
        _ = orc_set_nonblocking(STDIN_FILENO)
        _ = orc_make_raw(STDIN_FILENO)
    }

    mutating func run() {
        while !self.isOver {
            let events = POSIX.poll(self.interests(), milliseconds: self.pollTimeout)
            if events[0] != 0 { self.handleSignals() }
            if events[1] != 0 { self.launcher.readReports() }
            if events[2] != 0 { self.handleTerminal(events[2]) }
            if events[3] != 0 { self.accept() }
            if events[4] & POSIX.ended != 0 { self.isPaneOpen = false }
            if events[4] & POSIX.readable != 0 { self.discardPaneInput() }
            if events[6] != 0 { self.readEvents() }
            self.lookForConsumption()
            // A connection accepted just now has no event yet.
            for index in self.clients.indices where 7 + index < events.count && events[7 + index] != 0 {
                self.serve(index)
            }
            self.pumpViews()
            self.removeGone()
            self.judge()
        }
        for client in self.clients { close(client.fd) }
        _ = unsafe unlink("\(self.directory)/\(ShimFiles.socket)")
    }

    /// How long nothing may happen until it is looked again, in milliseconds.
    private var pollTimeout: Int32 {
        // The end of the tree is seen only by looking.
        if self.exit != nil, self.record == nil {
            return orc_monotonic_milliseconds() - self.exitSeenAt < Self.drainMilliseconds ? 1 : 100
        }
        if let killAt = self.killAt { return Int32(clamping: killAt - min(killAt, orc_monotonic_milliseconds())) + 1 }
        return self.ledger.isWaitingForReader ? Self.consumptionMilliseconds : 250
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
        let paneWants = self.isPaneOpen && self.paneOffset < self.recorder.length
        return [
            (self.signals, POSIX.readable),
            (self.launcher.pollDescriptor, POSIX.readable),
            (isTerminalPolled ? self.master : -1, POSIX.readable | (self.input.isEmpty ? 0 : POSIX.writable)),
            (self.listener, self.clients.count < 32 ? POSIX.readable : 0),
            (self.isPaneOpen ? STDIN_FILENO : -1, POSIX.readable),
            (paneWants ? STDOUT_FILENO : -1, POSIX.writable),
            (self.isEventPipeOpen ? self.eventPipe : -1, POSIX.readable),
        ] + self.clients.map { ($0.fd, POSIX.readable | ($0.wantsToWrite ? POSIX.writable : 0)) }
    }

    // MARK: - The program

    private mutating func handleSignals() {
        while true {
            let number = orc_next_signal(self.signals)
            guard number > 0 else { return }
            switch number {
            case SIGCHLD: self.reapProgram()
            case SIGTERM, SIGINT: self.stop()
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

    mutating func end(_ reason: ExitRecord.EndedBy) {
        guard self.exit == nil, self.endedBy == .itself || self.killAt != nil else { return }
        if self.endedBy == .itself { self.endedBy = reason }
        self.killAt = nil
        self.launcher.killTree()
    }

    /// Asks the program to end, and ends it when it takes too long; what stands still, at once.
    mutating func stop() {
        guard self.exit == nil, self.endedBy == .itself else { return }
        guard !self.isFrozen, self.launcher.askToEnd(isTerminal: true) else { return self.end(.stop) }
        self.endedBy = .stop
        self.killAt = orc_monotonic_milliseconds() + UInt64(self.spec.stopGrace)
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
        guard !self.recorder.isBroken else { return }
        self.recorder.append(bytes, at: orc_monotonic_milliseconds())
        self.pasteMode.scan(bytes)
        self.lookForConsumption()
        self.tell(self.ledger.output(at: self.recorder.length))
        if self.recorder.isBroken { return self.end(.logFailed) }  // what cannot be recorded must not go on
        if !self.spec.keepsNewestLog, self.recorder.length > self.spec.logQuota { self.end(.logQuota) }
    }

    private mutating func writeInput() {
        while let first = self.input.first {
            guard let count = POSIX.write(self.master, first.bytes), count > 0 else { return }
            guard let written = self.input.wrote(count) else { continue }
            switch written {
            case .prompt(let id):
                if let index = self.clients.firstIndex(where: { $0.role == .owner }) {
                    self.clients[index].send(.written(id: id))
                }
            case .message(let key): self.tell([self.ledger.written(key, at: self.recorder.length)].compactMap { $0 })
            }
        }
    }

    /// A program has read its input when the terminal holds none of it any more.
    private mutating func lookForConsumption() {
        guard self.ledger.isWaitingForReader, self.exit == nil, self.isTerminalOpen, orc_pty_unread(self.master) == 0
        else { return }
        self.tell(self.ledger.inputIsEmpty(at: self.recorder.length))
    }

    mutating func tell(_ receipts: [MessageLedger.Receipt]) {
        for receipt in receipts {
            for index in self.clients.indices where self.clients[index].role != .stranger {
                self.clients[index].send(.receipt(receipt))
            }
        }
    }

    private mutating func readEvents() {
        switch POSIX.read(self.eventPipe) {
        case .bytes(let bytes):
            for event in self.events.take(bytes, at: orc_monotonic_milliseconds() - self.startedAt) {
                let line =
                    Array("{\"n\":\(event.number),\"ms\":\(event.time),\"event\":".utf8) + event.line
                    + Array("}\n".utf8)
                self.eventBytes += line.count
                if self.eventBytes <= Self.eventFileLimit { _ = POSIX.writeAll(self.eventFile, line) }
            }
        case .wouldBlock: break
        case .end: self.isEventPipeOpen = false
        }
    }

    // MARK: - Views

    /// Feeds the pane and the watchers from the log, as far as each can take it now.
    private mutating func pumpViews() {
        while self.isPaneOpen, self.paneOffset < self.recorder.length {
            let (place, bytes) = self.recorder.read(from: self.paneOffset, limit: 32 * 1024)
            self.paneOffset = place
            guard let count = POSIX.write(STDOUT_FILENO, bytes[...]) else {
                self.isPaneOpen = false
                break
            }
            if count == 0 { break }
            self.paneOffset += UInt64(count)
        }
        for index in self.clients.indices {
            while let offset = self.clients[index].watchOffset, offset < self.recorder.length,
                self.clients[index].outbound.count < SocketClient.outboundLimit, !self.clients[index].isGone
            {
                let (place, bytes) = self.recorder.read(from: offset, limit: 32 * 1024)
                if bytes.isEmpty { break }
                self.clients[index].send(.output(offset: place, bytes: bytes))
                self.clients[index].watchOffset = place + UInt64(bytes.count)
                self.clients[index].flush()
            }
            self.pumpEvents(index)
            self.tellEnd(index)
            self.clients[index].flush()
        }
    }

    /// As many as the reader can take now; one that is too slow misses the oldest, never its connection.
    private mutating func pumpEvents(_ index: Int) {
        guard let last = self.clients[index].lastEvent else { return }
        for event in self.events.after(last) {
            guard self.clients[index].outbound.count < SocketClient.outboundLimit, !self.clients[index].isGone else {
                return
            }
            self.clients[index].send(.event(event))
            self.clients[index].lastEvent = event.number
        }
    }

    /// Tells of the end once; a watcher only after it has all of the output.
    mutating func tellEnd(_ index: Int) {
        guard let record = self.record, self.clients[index].role != .stranger, !self.clients[index].knowsEnd else {
            return
        }
        if let offset = self.clients[index].watchOffset, offset < self.recorder.length { return }
        if self.clients[index].role == .viewer, self.clients[index].watchOffset == nil { return }
        self.clients[index].knowsEnd = true
        self.clients[index].send(.exited(record))
    }

    private mutating func discardPaneInput() {
        // Viewers attach read-only; what is typed at the pane is not the agent's input, which is audited.
        if case .end = POSIX.read(STDIN_FILENO) { self.isPaneOpen = false }
    }

    mutating func removeGone() {
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
            if let killAt = self.killAt, now >= killAt { self.end(.stop) }
            if now - self.ownerSeenAt > self.graceMilliseconds { self.end(.orphaned) }
            return
        }
        guard self.record == nil, let exit = self.exit else { return }
        // The tree first: an orphan that is left of it holds the terminal open. The record is the proof that all of it is
        // gone, so there is none before.
        guard self.launcher.isTreeGone() else { return }
        if self.isTerminalOpen, now - self.exitSeenAt > Self.drainMilliseconds { self.drain() }
        if !self.isTerminalOpen { self.finish(exit) }
    }

    /// Reads what there is of the terminal's output: nobody is left who could add to it. That a shim got no time must
    /// not cost its last bytes.
    private mutating func drain() {
        while true {
            switch POSIX.read(self.master) {
            case .bytes(let bytes): self.append(bytes)
            case .wouldBlock, .end:
                self.isTerminalOpen = false
                return
            }
        }
    }

    private mutating func finish(_ exit: orc_exit) {
        var record = self.launcher.record(of: exit, endedBy: self.endedBy)
        record.logLength = self.recorder.length
        switch record.endedBy {
        // What was shown is what the launcher or the guard complained of.
        case .hostFailed, .launchFailed: record.errorOutput = self.recorder.read(from: 0, limit: 1024).bytes
        case .itself, .stop, .orphaned, .logQuota, .logFailed: break
        }
        self.readEvents()
        self.recorder.finish()
        let path = "\(self.directory)/\(ShimFiles.exit)"
        _ = POSIX.replaceFile(path, with: record.encoded, isSynced: false)
        self.record = record
        // Told before it is on disk, which may take its time: only the machine's own end could come between, and takes the
        // listener along.
        self.pumpViews()
        self.recorder.sync()
        POSIX.sync(path)
    }
}

/// Compares without telling by time where the difference is.
func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}

func report(_ text: String) { _ = POSIX.writeAll(STDERR_FILENO, Array("orchestra-shim: \(text)\n".utf8)) }
