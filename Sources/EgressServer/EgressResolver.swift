package import Egress
package import NIOCore

/// Finds the addresses of names.
package protocol EgressResolver: Sendable {
    /// Asks once, for both families. The future succeeds on `loop` and never fails; it may take as long as it likes.
    func addresses(of name: HostName, on loop: any EventLoop) -> EventLoopFuture<EgressResolution>
}
