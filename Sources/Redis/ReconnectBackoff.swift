/// The pauses between attempts to connect: they double from a quarter of a second to two seconds.
///
/// Jitter only lengthens a pause, so a connection that breaks again and again is made less than once a second. The cap
/// keeps the time from the end of an outage to the next attempt below three seconds.
struct ReconnectBackoff {
    static let first = Duration.milliseconds(250)
    static let longest = Duration.seconds(2)
    static let jitter = 1.0...1.25
    /// A connection that lived as long counts as stable: the pauses start over.
    static let stableTime = Duration.seconds(5)

    private var pause = first
    /// Connections in a row that ended before they were stable.
    private(set) var shortLives = 0

    /// The pause before the next attempt; `factor` is a random number from `jitter`.
    mutating func next(factor: Double) -> Duration {
        defer { self.pause = min(self.pause * 2, Self.longest) }
        return self.pause * factor
    }

    /// Notes that a connection ended after `lifetime`.
    mutating func connectionEnded(after lifetime: Duration) {
        guard lifetime >= Self.stableTime else {
            self.shortLives += 1
            return
        }
        self.shortLives = 0
        self.pause = Self.first
    }

    /// Whether the end of this connection is logged: the first of those that break in a row, then every second, fourth,
    /// eighth, and so on.
    var isLogged: Bool { self.shortLives & (self.shortLives - 1) == 0 }
}
