package import Domain
package import NIOCore

/// Writes events to the audit trail.
package protocol EgressRecorder: Sendable {
    /// Returns a future on `loop` that succeeds once the trail has the event, and fails when it does not take it in time.
    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement>
}
