package import CoreMetrics
package import Logging

/// What all supervisors of a tree share: where they report to, and their time and chance.
package struct SupervisionEnvironment: Sendable {
    package var logger: Logger
    package var metrics: any MetricsFactory
    /// Counts the restarts of all supervisors that share it.
    package var stormGuard: StormGuard?
    /// Receives every decision, in order for each supervisor. Called on the supervisor: it must be quick.
    package var observe: (@Sendable (SupervisionEvent) -> Void)?
    /// Paces pauses and shutdown times.
    package var clock: any Clock<Duration>
    /// The time of that clock.
    package var now: @Sendable () -> Duration
    /// The factor of a backoff's pause, from 0.5 to 1.
    package var jitter: @Sendable () -> Double
    /// How long a child may take to end once it was killed, before it counts as leaked.
    package var killGrace: Duration

    /// Defaults to no metrics, no storm guard, no observer, the continuous clock, jitter of 0.5 to 1 and 1 s of kill
    /// grace.
    package init(
        logger: Logger, metrics: any MetricsFactory = NOOPMetricsHandler.instance, stormGuard: StormGuard? = nil,
        observe: (@Sendable (SupervisionEvent) -> Void)? = nil, clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Duration = SupervisionEnvironment.monotonicNow,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0.5...1) }, killGrace: Duration = .seconds(1)
    ) {
        self.logger = logger
        self.metrics = metrics
        self.stormGuard = stormGuard
        self.observe = observe
        self.clock = clock
        self.now = now
        self.jitter = jitter
        self.killGrace = killGrace
    }

    /// Time since the first use of the process' monotonic clock.
    package static let monotonicNow: @Sendable () -> Duration = {
        let start = ContinuousClock.now
        return { ContinuousClock.now - start }
    }()
}

/// A decision of a supervisor, or what led to it.
package struct SupervisionEvent: Hashable, Sendable {
    /// The kind of an event.
    package enum Kind: Hashable, Sendable {
        case started
        case ended(ChildExit)
        /// It ended before it was ready.
        case startFailed(String)
        /// It said that it is not to run.
        case startIgnored
        /// It will be started again, after this pause.
        case restarting(reason: String, pause: Duration)
        /// It gave no heartbeat and was instructed to end.
        case hung(Duration)
        /// It ignored its cancellation and was left behind.
        case leaked
        /// A leaked child has ended after all.
        case returned
        /// The restart budget is spent by this child: all children are ended.
        case gaveUp(reason: String)
        case finished
    }

    /// The supervisor's name.
    package let supervisor: String
    /// nil for what concerns the supervisor itself.
    package let child: ChildReference?
    package let kind: Kind
}
