internal import DequeModule
internal import Domain
internal import NIOCore
internal import Synchronization

/// Keeps one launch from filling the audit trail, or from keeping others out of it. Refusals above a rate are counted in the
/// next row instead of a row each, and only so many events are under way at the same time; others wait in order.
final class LaunchRecorder: EgressRecorder {
    /// A decision was not sent in time.
    struct Late: Error {}

    private struct PendingEvent {
        let event: JSONValue
        let promise: EventLoopPromise<EgressAcknowledgement>
        let loop: any EventLoop
        /// When a decision is refused if it was not sent.
        let until: NIODeadline
    }

    private struct State {
        /// Events that wait to be sent. Each connection has one decision or one end at most, and connections are
        /// bounded.
        var pending: Deque<PendingEvent> = []
        var refusals: TokenBucket
        /// Refusals without a row of their own, and the last of them.
        var uncounted: Int64 = 0
        var last: JSONValue?
        var waiting = 0
    }

    private let recorder: any EgressRecorder
    private let limit: Int
    private let decisionTimeout: TimeAmount
    private let state: Mutex<State>

    init(_ recorder: any EgressRecorder, _ limits: EgressServerLimits) {
        self.recorder = recorder
        self.limit = limits.launchUnacknowledged
        self.decisionTimeout = limits.audit
        self.state = Mutex(State(refusals: TokenBucket(burst: limits.refusalBurst, perSecond: 1)))
    }

    /// Fails as the recorder behind it, and with `Late`. A refusal that is only counted succeeds at once.
    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        enum Step { case send(JSONValue), count, wait }
        // The end of what was allowed settles its budget, whatever it ended with.
        let isRefusal = event["decision"]?.string != "allow" && event["phase"] != "ended"
        let promise = loop.makePromise(of: EgressAcknowledgement.self)
        let step: Step = self.state.withLock { state in
            if isRefusal, state.waiting >= self.limit || !state.refusals.take(at: .now()) {
                state.uncounted += 1
                state.last = event
                return .count
            }
            guard state.waiting < self.limit else {
                state.pending.append(self.pendingEvent(event, promise, loop))
                return .wait
            }
            state.waiting += 1
            guard isRefusal else { return .send(event) }
            defer { state.uncounted = 0 }
            return .send(Self.counted(event, state.uncounted + 1))
        }
        switch step {
        case .count: promise.succeed(EgressAcknowledgement())
        case .wait: break
        case .send(let event): self.send(self.pendingEvent(event, promise, loop))
        }
        return promise.futureResult
    }

    /// Records what was only counted. To be called at the end of the launch; a failure costs the count.
    func flush(on loop: any EventLoop) {
        let event: JSONValue? = self.state.withLock { state in
            guard state.uncounted > 0, let last = state.last else { return nil }
            defer { state.uncounted = 0 }
            state.waiting += 1
            return Self.counted(last, state.uncounted)
        }
        guard let event else { return }
        self.send(self.pendingEvent(event, loop.makePromise(of: EgressAcknowledgement.self), loop))
    }

    private func pendingEvent(
        _ event: JSONValue, _ promise: EventLoopPromise<EgressAcknowledgement>, _ loop: any EventLoop
    ) -> PendingEvent {
        PendingEvent(event: event, promise: promise, loop: loop, until: loop.now + self.decisionTimeout)
    }

    private func send(_ pending: PendingEvent) {
        let result = self.recorder.record(pending.event, on: pending.loop)
        result.cascade(to: pending.promise)
        result.whenComplete { _ in self.ended() }
    }

    /// An event is no longer under way: the next one is sent.
    private func ended() {
        let next: PendingEvent? = self.state.withLock { state in
            guard let pending = state.pending.popFirst() else {
                state.waiting -= 1
                return nil
            }
            return pending
        }
        guard let next else { return }
        // On its own loop, and not in the middle of the one that has ended.
        next.loop.execute {
            // The node would drop a decision that is so late. An end settles a budget whenever it comes.
            guard next.event["phase"] == "ended" || next.loop.now < next.until else {
                next.promise.fail(Late())
                return self.ended()
            }
            self.send(next)
        }
    }

    /// The event as a row for several refusals; unchanged for one.
    private static func counted(_ event: JSONValue, _ count: Int64) -> JSONValue {
        count > 1 ? .object((event.members ?? []) + [JSONMember("count", .integer(count))]) : event
    }
}
