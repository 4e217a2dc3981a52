/// Lets one caller wait until another has had its first receipt.
final class FirstReceipt: Sendable {
    private let receipts: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init() { (self.receipts, self.end) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    /// The receipt has come, or none will.
    func arrived() { self.end.finish() }

    /// Waits for it; returns at once when the caller is cancelled.
    func wait() async { for await _ in self.receipts {} }
}
