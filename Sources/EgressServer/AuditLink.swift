package import Domain
package import NIOCore
internal import Synchronization

/// The way of events to the audit trail: each is one line with a number to the node, which answers with the number once the
/// trail has it.
package final class AuditLink: EgressRecorder {
    private struct State {
        var lastNumber: UInt64 = 0
        var waiting: [UInt64: EventLoopPromise<EgressAcknowledgement>] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())
    private let limits: EgressServerLimits
    private let send: @Sendable ([UInt8]) -> Bool
    private let lost: @Sendable () -> Void

    /// `send` writes one line with its newline to the node and does not wait; false when the node does not read. `lost` is
    /// called for each event that failed: the node may never have seen it.
    package init(
        limits: EgressServerLimits = EgressServerLimits(), send: @escaping @Sendable ([UInt8]) -> Bool,
        lost: @escaping @Sendable () -> Void = {}
    ) {
        self.limits = limits
        self.send = send
        self.lost = lost
    }

    /// Fails when the node does not answer within the limit.
    package func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        let promise = loop.makePromise(of: EgressAcknowledgement.self)
        let number: UInt64? = self.state.withLock { state in
            guard !state.isClosed, state.waiting.count < self.limits.unacknowledged else { return nil }
            state.lastNumber += 1
            state.waiting[state.lastNumber] = promise
            return state.lastNumber
        }
        guard let number else {
            self.lost()
            promise.fail(Self.unavailable)
            return promise.futureResult
        }
        let deadline = loop.scheduleTask(in: self.limits.audit) { self.end(number, with: .failure(Self.unavailable)) }
        promise.futureResult.whenComplete { _ in deadline.cancel() }
        let line: JSONValue = ["n": .integer(Int64(clamping: number)), "event": event]
        if !self.send(line.bytes + [UInt8(ascii: "\n")]) { self.end(number, with: .failure(Self.unavailable)) }
        return promise.futureResult
    }

    /// The node has written the event with this number.
    package func acknowledged(_ number: UInt64, _ acknowledgement: EgressAcknowledgement) {
        self.end(number, with: .success(acknowledgement))
    }

    /// The node is gone: no event is taken any more.
    package func closed() {
        let promises = self.state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for promise in promises { promise.fail(Self.unavailable) }
    }

    private func end(_ number: UInt64, with result: Result<EgressAcknowledgement, any Error>) {
        guard let promise = self.state.withLock({ $0.waiting.removeValue(forKey: number) }) else { return }
        if case .failure = result { self.lost() }
        promise.completeWith(result)
    }

    private static let unavailable = EgressServerError(
        code: .audit, message: "the audit trail did not take an event in time")
}
