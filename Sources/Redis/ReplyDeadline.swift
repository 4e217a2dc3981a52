internal import NIOCore

/// The time by which a batch of commands must have been answered: the caller's timeout, and what a slow link needs to
/// carry the bytes.
struct ReplyDeadline {
    /// Bytes a second of the slowest link on which a batch of any size succeeds; a link of 256 kbit/s carries 30,000.
    static let slowestLink: Int64 = 24 * 1024
    /// No request is granted more for its own bytes: a peer that reads nothing must be noticed.
    static let longestTransfer = TimeAmount.seconds(30)

    private let end: NIODeadline
    private let receivedBefore: Int64

    /// `sending` counts the bytes of the batch and of those that are unanswered before it; `received` what the connection
    /// received so far.
    init(at now: NIODeadline, timeout: TimeAmount, sending: Int, received: Int64) {
        self.end = now + timeout + min(Self.transferTime(Int64(sending)), Self.longestTransfer)
        self.receivedBefore = received
    }

    /// How long the batch may still wait, zero when its time is over. Bytes that arrive are progress: they extend it.
    func remaining(at now: NIODeadline, received: Int64) -> TimeAmount {
        max(.zero, self.end + Self.transferTime(received - self.receivedBefore) - now)
    }

    private static func transferTime(_ bytes: Int64) -> TimeAmount {
        .milliseconds(bytes * 1000 / Self.slowestLink)
    }
}
