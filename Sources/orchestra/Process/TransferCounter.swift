import Domain
import Synchronization

/// The tally of a transfer, for the tasks that move its bytes and read its lists at the same time.
final class TransferCounter: Sendable {
    private let state: Mutex<TransferTally>

    init(limits: TransferTally.Limits) { self.state = Mutex(TransferTally(limits: limits)) }

    var tally: TransferTally { self.state.withLock { $0 } }

    /// Changes the tally; throws what `body` throws.
    func note(_ body: (inout TransferTally) throws(CommandError) -> Void) throws(CommandError) {
        try self.state.withLock { tally throws(CommandError) in try body(&tally) }
    }
}
