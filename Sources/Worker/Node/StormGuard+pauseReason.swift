internal import Supervision

extension StormGuard {
    /// Why the node claims no jobs; nil when there are not too many restarts.
    var pauseReason: String? {
        guard self.isStorm else { return nil }
        return "more than \(self.limit) restarts within a minute: the node claims no jobs until there are fewer"
    }
}
