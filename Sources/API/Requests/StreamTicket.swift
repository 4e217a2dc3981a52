/// A place of `StreamQuota`, held for as long as this object lives: whatever becomes of an answer, it is given back.
final class StreamTicket: Sendable {
    private let release: @Sendable () -> Void

    init(release: @escaping @Sendable () -> Void) { self.release = release }

    deinit { self.release() }
}
