internal import CLinux
internal import Domain
internal import Glibc
internal import Screens
internal import ShimProtocol

/// The shim of an agent: owns the inner terminal, answers its queries, records every byte of it, serves the socket, and ends
/// when the exit was recorded and acknowledged, or no owner came back for it.
struct TerminalSession {
    /// The descriptors that a session works with; -1 where there is none.
    struct Descriptors {
        /// The master of the program's terminal.
        var master: Int32
        var listener: Int32 = -1
        var signals: Int32 = -1
        var eventPipe: Int32 = -1
        var eventFile: Int32 = -1
        /// The pane that shows the terminal.
        var paneInput: Int32 = -1
        var paneOutput: Int32 = -1
    }

    let spec: LaunchSpec
    let directory: String
    let descriptors: Descriptors
    let startedAt: UInt64
    /// Milliseconds of a monotonic clock.
    let now: () -> UInt64
    var recorder: Recorder
    var program: ProgramRun
    /// What the terminal shows: for its modes, and for the answers to queries.
    var screen: TerminalScreen
    var sizes = TerminalSizes()

    var clients: [SocketClient] = []
    var epoch: UInt64 = 0
    var ledger = MessageLedger()
    var input = InputQueue()
    var answers = PendingAnswers()
    var events = EventLog()
    var isEventPipeOpen: Bool
    var eventBytes = 0
    var paneOffset: UInt64 = 0
    var isPaneOpen: Bool {
        didSet {
            guard oldValue, !self.isPaneOpen else { return }
            for index in self.clients.indices where self.clients[index].role == .owner {
                self.clients[index].send(.viewLost)
            }
        }
    }
    var isTerminalOpen = true
    /// Since when the program's output is inside a string of the terminal's language.
    var stringSince: UInt64?
    var record: ExitRecord?
    var ownerSeenAt: UInt64
    var isReaped = false
    var isFrozen = false

    /// How often the terminal is checked while something waits for the program to read.
    private static let readerMilliseconds: Int32 = 5
    /// How long output is awaited after the program's end, should a descriptor of it stay open.
    static let drainMilliseconds: UInt64 = 2000

    init(
        spec: LaunchSpec, directory: String, descriptors: Descriptors, recorder: Recorder, program: ProgramRun,
        now: @escaping () -> UInt64 = orc_monotonic_milliseconds
    ) {
        self.spec = spec
        self.directory = directory
        self.descriptors = descriptors
        self.recorder = recorder
        self.program = program
        self.now = now
        self.startedAt = now()
        self.ownerSeenAt = self.startedAt
        self.isEventPipeOpen = descriptors.eventPipe >= 0
        self.isPaneOpen = descriptors.paneInput >= 0
        self.screen = TerminalScreen(columns: Int(spec.columns), rows: Int(spec.rows))
        self.screen.answersQueries = true
    }

    /// Serves until the exit record is acknowledged, or the grace period without an owner is over.
    mutating func run() {
        while !self.isOver { self.turn(milliseconds: self.pollTimeout) }
        for client in self.clients { close(client.fd) }
        _ = unsafe unlink("\(self.directory)/\(ShimFiles.socket)")
    }

    /// Waits at most so long for events and handles those that came.
    mutating func turn(milliseconds: Int32) {
        let events = POSIX.poll(self.interests(), milliseconds: milliseconds)
        if events[0] != 0 { self.handleSignals() }
        if events[1] != 0 { self.program.tree.readReports() }
        if events[2] & (POSIX.readable | POSIX.ended) != 0 { self.readTerminal() }
        if events[3] != 0 { self.accept() }
        if events[4] & POSIX.ended != 0 { self.isPaneOpen = false }
        if events[4] & POSIX.readable != 0 { self.discardPaneInput() }
        if events[6] != 0 { self.readEvents() }
        self.program.handOver(at: self.now())
        self.checkConsumption()
        // A connection accepted just now has no event yet.
        for index in self.clients.indices where 8 + index < events.count && events[8 + index] != 0 {
            self.serve(index)
        }
        self.writeInput()
        self.pumpViews()
        self.removeGone()
        self.judge()
    }

    /// The longest wait until the next check, in milliseconds.
    private var pollTimeout: Int32 {
        // The end of the tree is only seen by checking.
        if self.program.hasExited, self.record == nil {
            return self.now() - self.program.exitSeenAt < Self.drainMilliseconds ? 1 : 100
        }
        let isWaiting =
            self.ledger.isWaitingForReader || !self.answers.isEmpty || self.input.rest.isEmpty && self.input.hasChunk
        let usual = self.program.handover.wait(isWaiting ? Self.readerMilliseconds : 250)
        guard let killAt = self.program.killAt else { return usual }
        return min(usual, Int32(clamping: killAt - min(killAt, self.now())) + 1)
    }

    private var isOver: Bool {
        guard self.record != nil else { return false }
        if self.isReaped { return true }
        return self.now() - max(self.ownerSeenAt, self.program.exitSeenAt) > self.graceMilliseconds
            && !self.clients.contains { $0.role == .owner }
    }

    var graceMilliseconds: UInt64 { UInt64(self.spec.orphanGrace) * 1000 }

    private func interests() -> [(fd: Int32, events: Int16)] {
        let paneWants = self.isPaneOpen && self.paneOffset < self.recorder.length
        return [
            (self.descriptors.signals, POSIX.readable),
            (self.program.tree.pollDescriptor, POSIX.readable),
            (
                self.isTerminalOpen ? self.descriptors.master : -1,
                POSIX.readable | (self.input.rest.isEmpty ? 0 : POSIX.writable)
            ),
            (self.descriptors.listener, POSIX.readable),
            (self.isPaneOpen ? self.descriptors.paneInput : -1, POSIX.readable),
            (paneWants ? self.descriptors.paneOutput : -1, POSIX.writable),
            (self.isEventPipeOpen ? self.descriptors.eventPipe : -1, POSIX.readable),
            (self.program.handoverDescriptor, POSIX.readable),
        ] + self.clients.map { ($0.fd, POSIX.readable | ($0.wantsToWrite ? POSIX.writable : 0)) }
    }

    private mutating func handleSignals() {
        for signal in POSIX.pendingSignals(self.descriptors.signals) {
            switch signal {
            case SIGCHLD: self.program.reap(at: self.now())
            case SIGTERM, SIGINT: self.stop()
            // SIGHUP: the outer terminal died, the program continues. SIGWINCH: the pane's size is its own.
            default: break
            }
        }
    }

    /// Asks the program to end; see `ProgramRun.stop`.
    mutating func stop() { self.program.stop(at: self.now(), isFrozen: self.isFrozen) }
}
