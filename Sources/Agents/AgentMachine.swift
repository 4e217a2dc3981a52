internal import ShimProtocol

/// What an agent is doing, as far as the shim's events tell.
package enum AgentState: String, Hashable, Sendable, CaseIterable {
    case starting
    /// The program has shown something and waits for its prompt.
    case ready
    /// The prompt has been typed.
    case busy
    case exited
    case crashed
}

/// The life of one launch of an agent: events of its shim in, actions out. No clock, no IO.
struct AgentMachine {
    enum Event {
        /// The shim took us as its owner. An adopted program may have had its input already; repeating
        /// it is harmless, because the shim knows the ids.
        case welcomed(logLength: UInt64)
        case output
        case written(id: UInt64)
        case viewLost
        case inputRefused(reason: String)
        case refused(reason: String)
        case exited(ExitRecord)
        /// The socket closed; `record` is what the shim left on disk.
        case disconnected(record: ExitRecord?)
        case stopRequested
    }

    enum Action: Equatable {
        case watch(offset: UInt64)
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
    }

    private let inputs: [TypedInput]
    private(set) var state = AgentState.starting
    private var lastWritten: UInt64 = 0
    private var isStopping = false

    init(inputs: [TypedInput]) { self.inputs = inputs }

    mutating func handle(_ event: Event) -> [Action] {
        switch (event, self.state) {
        case (_, .exited), (_, .crashed): return []
        case (.welcomed(let length), _):
            if length > 0 { return self.becomeReady() }
            return [.watch(offset: 0)]
        case (.output, .starting): return self.becomeReady()
        case (.output, _): return []
        case (.written(let id), _):
            self.lastWritten = max(self.lastWritten, id)
            if self.state == .ready, self.lastWritten == self.inputs.last?.id { self.state = .busy }
            return []
        case (.viewLost, _): return [.openView]
        case (.inputRefused(let reason), _):
            self.state = .crashed
            return [.fail(AgentError(code: .failed, message: "the agent's prompt could not be typed: \(reason)"))]
        case (.refused(let reason), _):
            self.state = .crashed
            return [.fail(AgentError(code: .replaced, message: "the agent's shim refused this node: \(reason)"))]
        case (.exited(let record), _), (.disconnected(let record?), _):
            self.state = record.isSuccess ? .exited : .crashed
            return [.finish(record)]
        case (.disconnected(nil), _):
            self.state = .crashed
            return [.fail(AgentError(code: .crashed, message: "the agent's shim ended without an exit record"))]
        case (.stopRequested, _):
            guard !self.isStopping else { return [] }
            self.isStopping = true
            return [.stop]
        }
    }

    private mutating func becomeReady() -> [Action] {
        self.state = self.inputs.isEmpty ? .busy : .ready
        return [.watch(offset: .max), .type(self.inputs)]
    }
}

/// Prepares a person's or program's text for a terminal.
enum PromptText {
    /// The text as one bracketed paste and Enter, then each closing line and Enter. Control characters
    /// are dropped, so that no text can end the paste early or drive the terminal.
    static func inputs(prompt: String, closing: [String]) -> [AgentMachine.TypedInput] {
        var parts = [Array("\u{1b}[200~".utf8) + self.cleaned(prompt) + Array("\u{1b}[201~\r".utf8)]
        parts += closing.map { self.cleaned($0) + [0x0d] }
        return parts.enumerated().map { AgentMachine.TypedInput(id: UInt64($0.offset + 1), bytes: $0.element) }
    }

    static func cleaned(_ text: String) -> [UInt8] {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            if !isControl || scalar == "\n" || scalar == "\t" { result.append(scalar) }
        }
        return Array(String(result).utf8)
    }
}
