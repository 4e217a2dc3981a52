package import Domain

/// One running job. It can be cancelled from outside, and keeps the reason.
package actor JobRun {
    private enum Event {
        case handlerEnded(Outcome)
        case timerEnded
        case cancelled
    }

    package nonisolated let entry: EntryReference
    private var machine = JobRunMachine()
    /// Finished to cancel the handler; nil while no handler runs.
    private var cancellation: AsyncStream<Void>.Continuation?
    /// True after the handler was called: the job may have taken effect.
    package private(set) var hasStarted = false
    /// JSON with the output of a run that was cut off; nil if there is none.
    package private(set) var evidence: [UInt8]?
    private let clock: any Clock<Duration>

    /// Takes the parts as given; `clock` measures the time limit of `run`.
    package init(entry: EntryReference, clock: any Clock<Duration>) {
        self.entry = entry
        self.clock = clock
    }

    /// Runs `body` with a time limit and returns when it has ended. The outcome is that of `body`, unless a cancellation
    /// came first. Does not call `body` when the run was cancelled before. Can be called once.
    package func run(timeout: Duration, _ body: @escaping @Sendable () async -> Outcome) async -> Outcome {
        guard self.machine.started() else { return self.machine.ended(.cancelled(.drain)) }
        self.hasStarted = true
        let (cancellations, cancellation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.cancellation = cancellation
        let clock = self.clock
        let outcome = await withTaskGroup(of: Event.self) { group in
            group.addTask { .handlerEnded(await body()) }
            group.addTask {
                // An interrupted sleep means that the handler ended first.
                do { try await clock.sleep(for: timeout) } catch { return .timerEnded }
                await self.cancel(.timeout)
                return .timerEnded
            }
            group.addTask {
                for await _ in cancellations {}
                return .cancelled
            }
            // Always replaced: the group waits for the handler.
            var outcome = Outcome.cancelled(.drain)
            for await event in group {
                switch event {
                case .handlerEnded(let result):
                    outcome = result
                    group.cancelAll()
                case .cancelled: group.cancelAll()
                case .timerEnded: break
                }
            }
            return outcome
        }
        self.cancellation = nil
        return self.machine.ended(outcome)
    }

    /// Keeps the output of a run that was cut off.
    package func keep(_ evidence: [UInt8]) { self.evidence = evidence }

    /// Cancels the handler if it runs, and otherwise prevents its start. Does not wait for its end.
    package func cancel(_ reason: CancellationReason) {
        if self.machine.cancelled(reason) == .cancelHandler { self.cancellation?.finish() }
    }
}
