internal import Domain
internal import NIOCore
internal import Synchronization

/// Keeps one launch from filling the audit trail, or from keeping others out of it. Refusals above a rate are counted in the
/// next row instead of a row each, and only so many events wait at the same time.
final class LaunchRecorder: EgressRecorder {
    struct Busy: Error {}

    private struct State {
        var refusals: TokenBucket
        /// Refusals without a row of their own, and the last of them.
        var uncounted: Int64 = 0
        var last: JSONValue?
        var waiting = 0
    }

    private let recorder: any EgressRecorder
    private let limit: Int
    private let state: Mutex<State>

    init(_ recorder: any EgressRecorder, _ limits: EgressServerLimits) {
        self.recorder = recorder
        self.limit = limits.launchUnacknowledged
        self.state = Mutex(State(refusals: TokenBucket(burst: limits.refusalBurst, perSecond: 1)))
    }

    /// Fails as the recorder behind it, and when too many events of the launch wait. A refusal that is only counted succeeds
    /// at once.
    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        enum Step { case send(JSONValue), count, refuse }
        let isRefusal = event["decision"]?.string != "allow"
        let step: Step = self.state.withLock { state in
            if isRefusal, state.waiting >= self.limit || !state.refusals.take(at: .now()) {
                state.uncounted += 1
                state.last = event
                return .count
            }
            guard state.waiting < self.limit else { return .refuse }
            state.waiting += 1
            guard isRefusal else { return .send(event) }
            defer { state.uncounted = 0 }
            return .send(Self.counted(event, state.uncounted + 1))
        }
        switch step {
        case .count: return loop.makeSucceededFuture(EgressAcknowledgement())
        case .refuse: return loop.makeFailedFuture(Busy())
        case .send(let event): return self.send(event, on: loop)
        }
    }

    /// Records what was only counted. To be called at the end of the launch; a failure costs the count.
    func flush(on loop: any EventLoop) {
        let event: JSONValue? = self.state.withLock { state in
            guard state.uncounted > 0, let last = state.last else { return nil }
            defer { state.uncounted = 0 }
            state.waiting += 1
            return Self.counted(last, state.uncounted)
        }
        if let event { _ = self.send(event, on: loop) }
    }

    private func send(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        let result = self.recorder.record(event, on: loop)
        result.whenComplete { _ in self.state.withLock { $0.waiting -= 1 } }
        return result
    }

    /// The event as a row for several refusals; unchanged for one.
    private static func counted(_ event: JSONValue, _ count: Int64) -> JSONValue {
        count > 1 ? .object((event.members ?? []) + [JSONMember("count", .integer(count))]) : event
    }
}
