/// Counts restarts against an intensity, by OTP's rule: the clock's whole seconds, and a restart is within the
/// period while its second is not before now's second less the period (`add_restart` in OTP 25's supervisor).
struct RestartWindow: Hashable {
    let intensity: Int
    let period: Int64
    /// Oldest first; never more than `intensity + 1`.
    private var seconds: [Int64] = []

    init(intensity: Int, period: Duration) {
        self.intensity = intensity
        self.period = period.components.seconds
    }

    /// Counts one restart; false when it is one too many.
    mutating func add(now: Duration) -> Bool {
        let second = now.components.seconds
        self.forget(before: second)
        self.seconds.append(second)
        return self.seconds.count <= self.intensity
    }

    func count(now: Duration) -> Int {
        let first = now.components.seconds - self.period
        return self.seconds.count { $0 >= first }
    }

    private mutating func forget(before second: Int64) {
        let first = second - self.period
        let old = self.seconds.prefix { $0 < first }.count
        if old > 0 { self.seconds.removeFirst(old) }
    }
}
