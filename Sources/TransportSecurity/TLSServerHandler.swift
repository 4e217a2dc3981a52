package import NIOCore

/// Encrypts a connection that a server accepted, with the system's OpenSSL.
///
/// A client that speaks something else, is too slow or is refused fires a `TLSError` and the channel closes;
/// nothing of what it sent goes on into the pipeline. Where clients are verified, `TLSPeer` is fired first and
/// then `TLSHandshakeCompleted`. A client's close notify ends the channel, as the end of a stream does without
/// TLS; with `allowRemoteHalfClosure` it is `ChannelEvent.inputClosed` and an answer can still be written.
package final class TLSServerHandler: TLSHandler {
    /// Takes the certificate that is in use now; a later reload does not touch this connection.
    package init(context: TLSServerContext, handshakeTimeout: TimeAmount = .seconds(5)) throws(TLSError) {
        super.init(session: try context.makeSession(), handshakeTimeout: handshakeTimeout)
    }
}
