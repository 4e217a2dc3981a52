package import NIOCore

/// Encrypts a client's channel with the system's OpenSSL.
///
/// Writes made before the handshake wait for it. A refused peer fires a `TLSError` and closes the
/// channel; nothing written has left by then. In TLS 1.3 a server judges the client's certificate after
/// the client's handshake is complete, so its refusal shows at the first read.
package final class TLSClientHandler: TLSHandler {
    /// Reads the configuration's files, or uses what `contexts` has read of them; throws `TLSError.configuration` when one
    /// cannot be used.
    package init(
        configuration: TLSConfiguration, contexts: TLSClientContexts? = nil,
        handshakeTimeout: TimeAmount = .seconds(5)
    ) throws(TLSError) {
        let session: TLSSession
        if let contexts {
            session = try TLSSession(
                context: try contexts.context(for: configuration), role: .client(configuration))
        } else {
            session = try TLSClientHandler.session(configuration)
        }
        super.init(session: session, handshakeTimeout: handshakeTimeout)
    }

    /// Throws `TLSError.configuration` when a file or name of the configuration cannot be used.
    package static func validate(_ configuration: TLSConfiguration) throws(TLSError) {
        _ = try self.session(configuration)
    }

    private static func session(_ configuration: TLSConfiguration) throws(TLSError) -> TLSSession {
        try TLSSession(context: TLSClientContext.make(configuration), role: .client(configuration))
    }
}
