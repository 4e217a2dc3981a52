/// The progress of a running job as the queue stores it: its text is sealed.
package struct SealedProgress: Hashable, Sendable {
    /// 0 to 100.
    package let percent: Int
    /// See `JobEnvelope.seal(_:of:in:with:)`.
    package let sealedText: [UInt8]
    /// When it was stored, in milliseconds since the epoch by the queue's clock; 0 before that.
    package let time: UInt64

    /// Takes the parts as given.
    package init(percent: Int, sealedText: [UInt8], time: UInt64 = 0) {
        self.percent = percent
        self.sealedText = sealedText
        self.time = time
    }

    /// Reads the stored form, `ms:percent:` and the sealed text; returns nil when it is malformed.
    init?(stored: ArraySlice<UInt8>) {
        let parts = stored.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let time = UInt64(String(decoding: parts[0], as: UTF8.self)),
            let percent = Int(String(decoding: parts[1], as: UTF8.self))
        else { return nil }
        self.init(percent: percent, sealedText: Array(parts[2]), time: time)
    }
}
