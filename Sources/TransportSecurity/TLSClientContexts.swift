package import NIOCore
internal import Synchronization

/// Contexts that the connections of clients share. The authorities of the system are a large file, which takes longer to read
/// than a handshake. A renewed file is seen after the lifetime.
package final class TLSClientContexts: Sendable {
    private struct Entry {
        let context: TLSContextHandle
        let until: NIODeadline
    }

    private let entries = Mutex<[TLSConfiguration: Entry]>([:])
    private let lifetime: TimeAmount

    /// `lifetime` is how long a context is used for new connections.
    package init(lifetime: TimeAmount = .minutes(5)) { self.lifetime = lifetime }

    /// The context for a configuration; the server's name is a matter of the session. Throws as a handler's initializer.
    func context(for configuration: TLSConfiguration) throws(TLSError) -> TLSContextHandle {
        var key = configuration
        key.serverName = ""
        let now = NIODeadline.now()
        let known = self.entries.withLock { $0[key] }
        if let known, known.until > now { return known.context }
        let context = try TLSClientContext.make(configuration)
        self.entries.withLock { $0[key] = Entry(context: context, until: now + self.lifetime) }
        return context
    }
}
