package import Domain

/// The actor of one running job: lets it be cancelled from outside, with the reason kept.
package actor JobRun {
    package nonisolated let entry: EntryReference
    private var machine = JobRunMachine()
    private var handler: Task<Outcome, Never>?
    /// The handler was called: the job may have taken effect.
    package private(set) var hasStarted = false
    private let clock: any Clock<Duration>

    package init(entry: EntryReference, clock: any Clock<Duration>) {
        self.entry = entry
        self.clock = clock
    }

    /// Runs `body` with a time limit; the outcome is the body's, or the cancellation that came first.
    package func run(timeout: Duration, _ body: @escaping @Sendable () async -> Outcome) async -> Outcome {
        guard self.machine.started() else { return self.machine.ended(.cancelled(.drain)) }
        self.hasStarted = true
        // Not structured, so that this one run can be cancelled; awaited below on every path.
        let handler = Task { await body() }
        self.handler = handler
        let clock = self.clock
        let timer = Task {
            try await clock.sleep(for: timeout)
            self.cancel(.timeout)
        }
        let outcome = await withTaskCancellationHandler {
            await handler.value
        } onCancel: {
            handler.cancel()
        }
        timer.cancel()
        self.handler = nil
        return self.machine.ended(outcome)
    }

    package func cancel(_ reason: CancellationReason) {
        if self.machine.cancelled(reason) == .cancelHandler { self.handler?.cancel() }
    }
}
