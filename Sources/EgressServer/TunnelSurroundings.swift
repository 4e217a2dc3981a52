internal import Domain
internal import Egress
internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import TransportSecurity

/// What all connections of one launch share.
struct TunnelSurroundings: Sendable {
    let caller: EgressCaller
    let generation: UInt64
    let configuration: TunnelConfiguration
    let limits: EgressServerLimits
    let resolver: any EgressResolver
    let overrides: UpstreamOverrides
    let recorder: any EgressRecorder
    /// A PEM file of the authorities that certificates of model providers are checked against; nil means the system's.
    let authorityFile: String?
    let contexts: TLSClientContexts
    let upstreams: UpstreamPools
    /// The bodies that are held, of the launch and of the server.
    let bodies: [BodyBytes]
    /// Where large requests are checked.
    let pool: NIOThreadPool
    /// Milliseconds since 1970.
    let wall: @Sendable () -> UInt64

    /// The longest path in an event, in bytes; the rest is cut off.
    private static let pathLimit = 512

    /// Records an event of a connection that began `duration` ago.
    func record(
        _ event: EgressEvent, after duration: TimeAmount, on loop: any EventLoop
    ) -> EventLoopFuture<EgressAcknowledgement> {
        var event = event
        event.path = event.path.map { String(decoding: $0.utf8.prefix(Self.pathLimit), as: UTF8.self) }
        let json = event.json(
            caller: self.caller, generation: self.generation, time: Int64(clamping: self.wall()),
            duration: .nanoseconds(duration.nanoseconds))
        return self.recorder.record(json, on: loop)
    }

    /// Takes room for a body; false when there is none.
    func takeBody(_ count: Int) -> Bool {
        for (index, bytes) in self.bodies.enumerated() where !bytes.take(count) {
            for taken in self.bodies[..<index] { taken.give(count) }
            return false
        }
        return true
    }

    func addresses(of name: HostName, on loop: any EventLoop) -> EventLoopFuture<EgressResolution> {
        if let address = self.overrides.address(of: name) {
            return loop.makeSucceededFuture(.addresses([address]))
        }
        return self.resolver.addresses(of: name, on: loop)
    }
}
