/// Fatal alerts that end a tunnel whose ClientHello is refused, so that the client shows an error and not a bare close.
enum TLSAlert {
    /// The alert for a refusal, as one record; empty if the caller does not use TLS.
    static func record(for reason: EgressReason) -> [UInt8] {
        let description: UInt8
        switch reason {
        case .sniMismatch, .sniMissing: description = 112
        case .encryptedClientHello: description = 49
        case .malformedClientHello, .clientHelloTooLarge: description = 50
        default: return []
        }
        return [21, 3, 3, 0, 2, 2, description]
    }
}
