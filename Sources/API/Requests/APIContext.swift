internal import Domain
internal import Hummingbird
internal import Logging
internal import NIOCore

/// The context of a request in the router.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: SocketAddress?
    let channel: any Channel
    /// Set before the router runs.
    var record: RequestRecord?
    /// The body of a request that is read while it is used, set before the router runs.
    var incoming: IncomingBody?

    init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.peer = source.channel.remoteAddress
        self.channel = source.channel
    }
}
