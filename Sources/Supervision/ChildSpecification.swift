/// When an ended child is started again (OTP's `restart`).
package enum RestartPolicy: String, Hashable, Sendable, CaseIterable {
    /// Always.
    case permanent
    /// Only after an abnormal end: not after a return, nor after `ChildShutdown`.
    case transient
    /// Never; its specification is forgotten with it.
    case temporary
}

/// How a child is asked to end, and for how long it may take (OTP's `shutdown`).
package enum ShutdownPolicy: Hashable, Sendable {
    /// Killed at once, see `ChildSpecification.kill`.
    case brutalKill
    /// Cancelled, then killed when it has not ended within this time.
    case timeout(Duration)
    /// Cancelled and awaited for as long as it takes.
    case infinity
}

/// What a child is, for counts and defaults (OTP's `type`).
package enum ChildType: String, Hashable, Sendable {
    case worker
    case supervisor
}

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

/// What a supervisor knows of a child before it runs (OTP's child specification).
package struct ChildSpecification: Sendable {
    /// Runs the child. It calls `ready()` once it is up, returns when it is done, throws when it failed, and
    /// ends soon after its task is cancelled. What it owns is released before it returns.
    package typealias Run = @concurrent @Sendable (_ child: ChildContext) async throws -> Void

    package var id: String
    package var restart: RestartPolicy
    package var shutdown: ShutdownPolicy
    package var type: ChildType
    /// Its own final end may end the supervisor; wants `autoShutdown` and a child that is not permanent.
    package var isSignificant: Bool
    package var backoff: RestartBackoff?
    /// A running child that gives no heartbeat for this long counts as hung: it is instructed to end and that
    /// end is a failure. nil: not watched.
    package var heartbeatLimit: Duration?
    /// The last resort when cancelling does not help: ends from outside what the child waits for, such as a
    /// process or a connection. Called at most once an instance, from no particular thread. A Swift task
    /// itself cannot be killed, so a child without this may end as leaked.
    package var kill: (@Sendable () -> Void)?
    package var run: Run

    /// Defaults to a permanent worker with 5 s to shut down, without backoff, heartbeat limit or `kill`; checks
    /// nothing.
    package init(
        id: String, restart: RestartPolicy = .permanent, shutdown: ShutdownPolicy = .timeout(.seconds(5)),
        type: ChildType = .worker, isSignificant: Bool = false, backoff: RestartBackoff? = nil,
        heartbeatLimit: Duration? = nil, kill: (@Sendable () -> Void)? = nil, run: @escaping Run
    ) {
        self.id = id
        self.restart = restart
        self.shutdown = shutdown
        self.type = type
        self.isSignificant = isSignificant
        self.backoff = backoff
        self.heartbeatLimit = heartbeatLimit
        self.kill = kill
        self.run = run
    }

    /// A child that is a supervisor. `make` is called for each start, so that a restarted one begins with
    /// fresh counters and its first children; it throws what `Supervisor.init` throws.
    package static func supervisor(
        id: String, restart: RestartPolicy = .permanent, shutdown: ShutdownPolicy = .infinity,
        isSignificant: Bool = false, backoff: RestartBackoff? = nil,
        make: @escaping @Sendable () async throws -> Supervisor
    ) -> ChildSpecification {
        ChildSpecification(
            id: id, restart: restart, shutdown: shutdown, type: .supervisor, isSignificant: isSignificant,
            backoff: backoff
        ) { child in
            try await make().run(as: child)
        }
    }
}

/// Names one instance of a child, as a process id does in OTP: a restarted child has a new one.
package struct ChildReference: Hashable, Sendable {
    package let id: String
    /// Counts from 1 for each specification.
    package let instance: Int
    let key: Int
}
