import Domain
import Supervision
import Synchronization

/// What a vector says of a child, and its behaviour.
struct SimulatedChild: Sendable {
    enum StartOutcome: Sendable { case running, error, ignore }

    enum ShutdownBehaviour: Sendable {
        case ends
        case endsAfter(Duration, reason: String)
        case hangs
    }

    let id: String
    let restart: RestartPolicy
    let shutdown: ShutdownPolicy
    let type: ChildType
    let isSignificant: Bool
    let starts: [StartOutcome]
    let onShutdown: ShutdownBehaviour
    let nested: JSONValue?

    /// Throws `Refusal` for values that a specification cannot even hold. When `extendsShutdownTimes`,
    /// a shutdown time that the child would keep does not run out, however busy the machine is.
    init(_ json: JSONValue, extendsShutdownTimes: Bool = false) throws {
        guard let id = json["id"]?.string else { throw Refusal("bad_child_spec:missing_id") }
        guard let restart = RestartPolicy(rawValue: json["restart"]?.string ?? "permanent") else {
            throw Refusal("bad_child_spec:invalid_restart_type")
        }
        self.id = id
        self.restart = restart
        self.nested = json["sup"]
        let type = ChildType(rawValue: json["type"]?.string ?? (self.nested == nil ? "worker" : "supervisor"))
        guard let type else { throw Refusal("bad_child_spec:invalid_child_type") }
        self.type = type
        guard let isSignificant = (json["significant"] ?? false).bool else {
            throw Refusal("bad_child_spec:invalid_significant")
        }
        self.isSignificant = isSignificant
        let shutdown = try Self.shutdown(json["shutdown"], type: type)
        self.starts = (json["start"]?.array ?? []).map { outcome in
            switch outcome.string {
            case "error": .error
            case "ignore": .ignore
            default: .running
            }
        }
        switch json["on_shutdown"] {
        case .array(let parts)?:
            self.onShutdown = .endsAfter(
                .milliseconds(parts.first?.integer ?? 0), reason: parts.last?.string ?? "same")
        case .string?: self.onShutdown = .hangs
        default: self.onShutdown = .ends
        }
        self.shutdown = extendsShutdownTimes ? Self.extended(shutdown, self.onShutdown) : shutdown
    }

    private static func extended(_ policy: ShutdownPolicy, _ behaviour: ShutdownBehaviour) -> ShutdownPolicy {
        guard case .timeout(let limit) = policy, limit >= .zero else { return policy }
        switch behaviour {
        case .hangs: return policy
        case .endsAfter(let duration, _) where duration >= limit: return policy
        case .ends, .endsAfter: return .timeout(.seconds(3600))
        }
    }

    private static func shutdown(_ json: JSONValue?, type: ChildType) throws -> ShutdownPolicy {
        switch json {
        case nil: return type == .supervisor ? .infinity : .timeout(.milliseconds(5000))
        case .string("infinity")?: return .infinity
        case .string("brutal_kill")?: return .brutalKill
        case .integer(let milliseconds)?: return .timeout(.milliseconds(milliseconds))
        default: throw Refusal("bad_child_spec:invalid_shutdown")
        }
    }

    func outcome(ofAttempt attempt: Int) -> StartOutcome {
        self.starts.isEmpty ? .running : self.starts[min(attempt, self.starts.count) - 1]
    }
}

/// An end that a vector asks for, other than a return.
struct SimulatedFailure: Error, CustomStringConvertible {
    let description: String
}

/// What reaches a running child from outside.
final class Mailbox: Sendable {
    enum Message: Sendable {
        case exit(String)
        case shutdown
        case kill
        case time
    }

    private struct State {
        var messages: [Message] = []
        var waiter: CheckedContinuation<Message, Never>?
    }

    private let state = Mutex(State())

    func send(_ message: Message) {
        let waiter = self.state.withLock { state -> CheckedContinuation<Message, Never>? in
            guard let waiter = state.waiter else {
                state.messages.append(message)
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: message)
    }

    func next() async -> Message {
        await withCheckedContinuation { continuation in
            let message = self.state.withLock { state -> Message? in
                guard state.messages.isEmpty else { return state.messages.removeFirst() }
                state.waiter = continuation
                return nil
            }
            if let message { continuation.resume(returning: message) }
        }
    }
}

extension SimulatedChild {
    /// Runs as the vector says, until it is stopped.
    func run(_ child: ChildContext, mailbox: Mailbox) async throws {
        child.ready()
        let message = await withTaskCancellationHandler {
            await mailbox.next()
        } onCancel: {
            mailbox.send(.shutdown)
        }
        switch message {
        case .exit(let reason): try Self.end(reason)
        case .kill: try Self.end("kill")
        case .shutdown, .time: try await self.shutDown(mailbox)
        }
    }

    private func shutDown(_ mailbox: Mailbox) async throws {
        var last = "shutdown"
        switch self.onShutdown {
        case .ends: return try Self.end(last)
        case .endsAfter(let duration, let reason):
            Task {  // ends by itself; the mailbox outlives it
                try await ContinuousClock().sleep(for: duration)
                mailbox.send(.time)
            }
            if reason != "same" { last = reason }
        case .hangs: break
        }
        while true {
            switch await mailbox.next() {
            case .time: return try Self.end(last)
            case .kill: return try Self.end("kill")
            case .exit(let reason): return try Self.end(reason)
            case .shutdown: continue
            }
        }
    }

    private static func end(_ reason: String) throws {
        switch reason {
        case "normal": return
        case "shutdown": throw ChildShutdown()
        case "kill": throw SimulatedFailure(description: "killed")
        default:
            guard reason.hasPrefix("shutdown:") else { throw SimulatedFailure(description: reason) }
            throw ChildShutdown(String(reason.dropFirst("shutdown:".count)))
        }
    }
}
