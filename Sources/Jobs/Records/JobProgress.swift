internal import Domain

/// The progress that a running job reports.
package struct JobProgress: Hashable, Sendable {
    /// 0 to 100.
    package let percent: Int
    package let text: String
    /// When it was stored, in milliseconds since the epoch by the queue's clock; 0 before that.
    package let time: UInt64

    /// Longer texts are cut.
    package static let textLimit = 200

    /// Limits the percentage to 0 to 100, and the text to printable characters and `textLimit`.
    package init(percent: Int, text: String, time: UInt64 = 0) {
        self.percent = min(max(percent, 0), 100)
        self.text = Printable.text(text, limit: Self.textLimit)
        self.time = time
    }

    /// Reads the stored form, `ms:percent:text`; returns nil when it is malformed.
    init?(stored: String) {
        let parts = stored.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let time = UInt64(parts[0]), let percent = Int(parts[1]) else { return nil }
        self.init(percent: percent, text: String(parts[2]), time: time)
    }
}
