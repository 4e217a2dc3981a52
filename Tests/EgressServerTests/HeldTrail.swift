import Domain
import NIOCore
import Synchronization

@testable import EgressServer

/// A trail in memory that holds what it gets until it refuses all of it.
final class HeldTrail: EgressRecorder {
    struct Full: Error {}

    private let events = Mutex<[JSONValue]>([])
    private let held = Mutex<[EventLoopPromise<EgressAcknowledgement>]>([])

    var all: [JSONValue] { self.events.withLock { $0 } }

    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        let promise = loop.makePromise(of: EgressAcknowledgement.self)
        self.held.withLock { $0.append(promise) }
        self.events.withLock { $0.append(event) }
        return promise.futureResult
    }

    /// Fails what it holds.
    func refuseHeld() {
        let held = self.held.withLock { held in
            defer { held = [] }
            return held
        }
        for promise in held { promise.fail(Full()) }
    }
}
