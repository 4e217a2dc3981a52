internal import Domain
internal import Hummingbird
internal import Logging
internal import NIOCore

/// What goes with a request through the router.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: SocketAddress?
    let channel: any Channel
    /// Set by the first middleware, before anything else looks.
    var record: RequestRecord?

    init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.peer = source.channel.remoteAddress
        self.channel = source.channel
    }
}
