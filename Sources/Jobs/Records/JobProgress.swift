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
}
