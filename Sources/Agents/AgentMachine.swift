internal import Domain
internal import ShimProtocol

/// The life of one launch of an agent: events of its shim in, actions out. No clock, no IO.
struct AgentMachine {
    enum Event {
        /// The shim took us as its owner. An adopted program may have had its input already; repeating
        /// it is harmless, because the shim knows the ids.
        case welcomed(logLength: UInt64)
        case output
        case written(id: UInt64)
        case viewLost
        /// What the program reports apart from its terminal.
        case said([UInt8])
        /// What a rule concludes from its screen, and that rule's number.
        case seen(ScreenRule.State, rule: Int)
        /// Its screen did not become what a prompt waits for.
        case screenTimedOut
        case inputRefused(reason: String)
        case refused(reason: String)
        case exited(ExitRecord)
        /// The socket closed; `record` is what the shim left on disk.
        case disconnected(record: ExitRecord?)
        case stopRequested
    }

    enum Action: Equatable {
        case watch(offset: UInt64)
        case follow(after: UInt64)
        case type([TypedInput])
        case openView
        case stop
        case finish(ExitRecord)
        case fail(AgentError)
    }

    /// Bytes to type with the id that makes typing them twice impossible.
    struct TypedInput: Equatable {
        let id: UInt64
        let bytes: [UInt8]
        /// Text that is pasted, as the program wants pastes, and entered; else bytes as they are.
        var isPrompt = false
    }

    private let inputs: [TypedInput]
    /// The prompt waits for a screen that says `ready`, not for anything at all.
    private let waitsForScreen: Bool
    private(set) var state = AgentState.starting
    /// What the state is concluded from.
    private(set) var evidence = "it was launched"
    private var lastWritten: UInt64 = 0
    private var isStopping = false
    private var hasTyped = false

    /// It said something of itself, which counts more than its screen.
    private var hasSaid = false

    init(inputs: [TypedInput], waitsForScreen: Bool = false) {
        self.inputs = inputs
        self.waitsForScreen = waitsForScreen
    }

    /// True while the prompt waits for a screen.
    var isWaitingForScreen: Bool { self.waitsForScreen && !self.hasTyped }

    mutating func handle(_ event: Event) -> [Action] {
        switch (event, self.state) {
        case (_, .exited), (_, .crashed), (_, .unknown): return []
        case (.welcomed(let length), _):
            if self.waitsForScreen {
                // What was typed into a connection that broke may not have arrived; the shim knows what did.
                return [.watch(offset: .max)] + (self.hasTyped ? [.type(self.inputs)] : []) + [.follow(after: 0)]
            }
            if length > 0 { return self.becomeReady("its terminal shows something") + [.follow(after: 0)] }
            return [.watch(offset: 0), .follow(after: 0)]
        // What it says of itself may come first, and is no reason to keep its prompt from it.
        case (.output, _):
            return self.hasTyped || self.waitsForScreen ? [] : self.becomeReady("its terminal shows something")
        case (.seen(let seen, let rule), _):
            let evidence = "its screen, by rule \(rule)"
            if seen == .ready, !self.hasTyped { return self.becomeReady(evidence) }
            // A screen from before the prompt was typed says nothing of what came after.
            let isTyping = seen == .ready && self.lastWritten < self.inputs.last?.id ?? 0
            if !self.hasSaid, !isTyping { self.conclude(AgentState(seen), evidence) }
            return []
        case (.screenTimedOut, _):
            return self.hasTyped ? [] : self.becomeReady("its screen did not say so, and it had its time")
        case (.written(let id), _):
            self.lastWritten = max(self.lastWritten, id)
            if self.state == .ready, self.lastWritten == self.inputs.last?.id {
                self.conclude(.busy, "its prompt was typed")
            }
            return []
        case (.said(let line), _):
            if let (state, evidence) = AgentStatusMessage.state(line) {
                self.hasSaid = true
                self.conclude(state, evidence)
            }
            return []
        case (.viewLost, _): return [.openView]
        case (.inputRefused(let reason), _):
            self.conclude(.crashed, "its prompt could not be typed")
            return [.fail(AgentError(code: .failed, message: "the agent's prompt could not be typed: \(reason)"))]
        case (.refused(let reason), _):
            self.conclude(.unknown, "its shim has another owner")
            return [.fail(AgentError(code: .replaced, message: "the agent's shim refused this node: \(reason)"))]
        case (.exited(let record), _), (.disconnected(let record?), _):
            self.conclude(AgentState(of: record), "its exit record: \(record.summary)")
            return [.finish(record)]
        case (.disconnected(nil), _):
            self.conclude(.crashed, "its shim ended without an exit record")
            return [.fail(AgentError(code: .crashed, message: "the agent's shim ended without an exit record"))]
        case (.stopRequested, _):
            guard !self.isStopping else { return [] }
            self.isStopping = true
            return [.stop]
        }
    }

    private mutating func conclude(_ state: AgentState, _ evidence: String) {
        self.state = state
        self.evidence = evidence
    }

    private mutating func becomeReady(_ evidence: String) -> [Action] {
        self.hasTyped = true
        if self.state == .starting || self.waitsForScreen && !self.hasSaid {
            self.conclude(self.inputs.isEmpty && !self.waitsForScreen ? .busy : .ready, evidence)
        }
        return [.watch(offset: .max), .type(self.inputs)]
    }
}
