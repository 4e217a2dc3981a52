/// The rule by which tokens are estimated where the provider's numbers are missing. Every result is rounded up.
package enum TokenEstimate {
    /// Tokens of text in an answer: one for each 4 bytes of UTF-8, the ratio that providers publish for English text.
    package static func ofText(bytes: UInt64) -> UInt64 { bytes.dividedRoundingUp(by: 4) }

    /// Input tokens of a request that was sent and whose answer names none: one for each 4 bytes, at least one.
    package static func ofSentRequest(bytes: UInt64) -> UInt64 { max(1, self.ofText(bytes: bytes)) }

    /// Input tokens to reserve before a request is sent: two for each 7 bytes, at least one. More than
    /// `ofSentRequest`, because code and other scripts have fewer bytes a token.
    package static func ofNewRequest(bytes: UInt64) -> UInt64 {
        max(1, bytes.multipliedSaturated(by: 2).dividedRoundingUp(by: 7))
    }

    /// Output tokens of a compressed answer, which cannot be read: one for each byte. Compressed event streams of the
    /// providers have more than one byte a token.
    package static func ofCompressed(bytes: UInt64) -> UInt64 { bytes }

    /// The bytes that one image counts as, whatever its encoding takes: about 5,000 tokens to reserve, above what any
    /// provider charges for its largest image.
    static let imageBytes: UInt64 = 17_500
}
