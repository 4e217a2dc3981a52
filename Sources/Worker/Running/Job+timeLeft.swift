internal import Domain

extension Job {
    /// The time until the deadline, at `now` in milliseconds since the epoch; zero or less when it has passed.
    /// A job without a deadline has a year, which is longer than the time limit of any action.
    func timeLeft(at now: UInt64) -> Duration {
        guard let deadline = self.deadline else { return .seconds(366 * 86_400) }
        return .milliseconds(Int64(clamping: deadline) - Int64(clamping: now))
    }
}
