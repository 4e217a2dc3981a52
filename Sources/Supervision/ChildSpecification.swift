/// When an ended child is started again (OTP's `restart`).
package enum RestartPolicy: String, Hashable, Sendable, CaseIterable {
    /// Always.
    case permanent
    /// Only when it failed.
    case transient
    /// Never; it is forgotten.
    case temporary
}

/// How long a child may take to end after it was cancelled (OTP's `shutdown`).
package enum ShutdownPolicy: Hashable, Sendable {
    case timeout(Duration)
    case infinity
}

/// Growing pauses between restarts, which OTP has not: off unless given.
package struct RestartBackoff: Hashable, Sendable {
    package var first: Duration
    package var longest: Duration
    /// A child that ran this long starts over with the first pause.
    package var resetAfter: Duration

    package init(first: Duration, longest: Duration, resetAfter: Duration) {
        self.first = first
        self.longest = longest
        self.resetAfter = resetAfter
    }

    /// The pause before the restart with this count, 0 being the first; jitter is the caller's.
    package func pause(attempt: Int) -> Duration {
        let doublings = min(attempt, 20)
        let pause = self.first * (1 << doublings)
        return min(pause, self.longest)
    }
}

/// What a supervisor knows of a child before it runs.
package struct ChildSpecification: Sendable {
    package var id: String
    package var restart: RestartPolicy
    package var shutdown: ShutdownPolicy
    /// Its own final end may end the supervisor (OTP's `significant`).
    package var isSignificant: Bool
    package var backoff: RestartBackoff?
    /// Runs the child; returns when it is done, throws when it failed, and ends soon after it is cancelled.
    /// It calls `ready` once it is up; what it owns is released before it returns.
    package var run: @Sendable (_ ready: @escaping @Sendable () -> Void) async throws -> Void

    package init(
        id: String, restart: RestartPolicy = .permanent, shutdown: ShutdownPolicy = .timeout(.seconds(5)),
        isSignificant: Bool = false, backoff: RestartBackoff? = nil,
        run: @escaping @Sendable (_ ready: @escaping @Sendable () -> Void) async throws -> Void
    ) {
        self.id = id
        self.restart = restart
        self.shutdown = shutdown
        self.isSignificant = isSignificant
        self.backoff = backoff
        self.run = run
    }
}

/// Why a child ended.
package enum ChildExit: Hashable, Sendable {
    case normal
    case failed(String)
    /// It was cancelled by its supervisor.
    case shutdown

    var isFailure: Bool {
        if case .failed = self { true } else { false }
    }
}

/// What a supervisor says of a child.
package struct ChildStatus: Hashable, Sendable {
    package enum State: String, Hashable, Sendable {
        case starting
        case running
        case waitingToRestart
        case stopping
        case ended
        /// It ignored its cancellation past its shutdown time.
        case leaked
    }

    package let id: String
    package let state: State
    package let restarts: Int
    package let lastReason: String?
}

/// Why a supervisor ended other than by being stopped.
package struct SupervisionError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// More restarts than the intensity allows within the period.
        case gaveUp
        /// A child ended before it was ready, at the first start.
        case failedToStart
        /// Two children share an id.
        case invalidSpecification
    }

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
