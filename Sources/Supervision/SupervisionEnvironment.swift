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
