internal import NIOCore

/// The pools of event loops.
struct UpstreamPools: Sendable {
    private let pools: [ObjectIdentifier: NIOLoopBoundBox<UpstreamPool>]

    init(_ loops: some Sequence<any EventLoop>) {
        var pools: [ObjectIdentifier: NIOLoopBoundBox<UpstreamPool>] = [:]
        for loop in loops {
            pools[ObjectIdentifier(loop)] = NIOLoopBoundBox.makeBoxSendingValue(UpstreamPool(), eventLoop: loop)
        }
        self.pools = pools
    }

    /// The pool of the loop on which this is called; nil for one that has none.
    func pool(of loop: any EventLoop) -> UpstreamPool? { self.pools[ObjectIdentifier(loop)]?.value }
}
