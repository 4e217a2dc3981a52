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
