/// Growing pauses before restarts, which OTP has not: off unless given.
///
/// The nth restart in a row waits `first * 2^n`, at most `longest`, times a jitter factor; a child that ran
/// for `resetAfter` starts over (the shape of Akka's BackoffSupervisor and Kubernetes' kubelet).
package struct RestartBackoff: Hashable, Sendable {
    package var first: Duration
    package var longest: Duration
    package var resetAfter: Duration

    /// Takes the parts as given; checks nothing.
    package init(first: Duration, longest: Duration, resetAfter: Duration) {
        self.first = first
        self.longest = longest
        self.resetAfter = resetAfter
    }

    /// The pause before the restart with this count, 0 being the first; jitter is the caller's.
    package func pause(attempt: Int) -> Duration {
        // Doubling stops where no sensible cap is left to reach, so that nothing overflows.
        min(self.first * (1 << max(0, min(attempt, 20))), self.longest)
    }
}

extension RestartBackoff {
    /// For a supervisor that gave up: its children had their own pauses, so this is about not hurrying.
    package static let subsystem = RestartBackoff(first: .seconds(1), longest: .seconds(30), resetAfter: .seconds(600))
}
