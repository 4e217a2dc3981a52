/// A place of `StreamQuota`, held for as long as this object lives: whatever becomes of an answer, it is given back.
final class StreamTicket: Sendable {
    private let giveBack: @Sendable () -> Void

    init(giveBack: @escaping @Sendable () -> Void) { self.giveBack = giveBack }

    deinit { self.giveBack() }
}
