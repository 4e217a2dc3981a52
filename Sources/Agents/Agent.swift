internal import Foundation
internal import Domain
package import Logging
package import NIOPosix
internal import Sandboxing
package import ShimProtocol

/// One agent: its shim, its terminal server, its sandbox, from start or adoption to the exit record. `run()` is what the
/// agent's supervisor restarts; each call is a new generation, unless the last one still lives or left a record that
/// nobody has read.
package actor Agent {
    private let assignment: Assignment
    private let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let clock: any Clock<Duration>
    private let logger: Logger
    private let token: @Sendable () throws -> [UInt8]
    private let report: @Sendable (AgentState) async -> Void

    private var generation = 0
    private var isFirstRun = true
    private var launcher: Int32?

    /// An agent may change its state as often as it likes; the changes are reported at most so often.
    private static let reportInterval = Duration.milliseconds(100)

    /// `token` makes 32 random bytes; `report` receives each change of state.
    package init(
        _ assignment: Assignment, configuration: AgentConfiguration, group: MultiThreadedEventLoopGroup,
        logger: Logger, clock: any Clock<Duration> = ContinuousClock(), token: @escaping @Sendable () throws -> [UInt8],
        report: @escaping @Sendable (AgentState) async -> Void
    ) {
        self.assignment = assignment
        self.configuration = configuration
        self.group = group
        self.clock = clock
        var logger = logger
        logger[metadataKey: "agent.id"] = "\(assignment.directory.id)"
        self.logger = logger
        self.token = token
        self.report = report
    }

    /// Something of it may run still: under another owner, or without proof that it is gone.
    package private(set) var mayLive = false

    /// The number of the launch that ran last.
    package var currentGeneration: Int { self.generation }

    /// Takes the agent's last launch back when this node began it and it may still count, else starts a new one; returns
    /// the exit record of a success. Throws `AgentError` when the program failed, the shim crashed, or nothing could be
    /// started. When the task is canceled the program is ended first, its whole tree with it, and `CancellationError`
    /// thrown.
    package func run(ready: @Sendable () -> Void) async throws -> ExitRecord {
        await self.publish(AgentStatus(state: .starting, evidence: "it is being launched"))
        ready()
        let record: ExitRecord
        do {
            record = try await self.reportingRun()
        } catch  where error is CancellationError || Task.isCancelled {
            // The tree must be gone before the caller learns of the cancellation.
            _ = await withoutCancellation { await self.stopProgram() }
            throw CancellationError()
        } catch {
            throw await self.settled(error)
        }
        // Its record is the proof that it is gone.
        await self.publish(AgentStatus(state: AgentState(of: record), evidence: "its exit record: \(record.summary)"))
        guard record.isSuccess else { throw Self.failure(record, of: self.assignment) }
        return record
    }

    /// What is thrown for a run that failed, once its program is gone: the next launch must not find it running.
    private func settled(_ error: any Error) async -> AgentError {
        let error =
            switch error {
            case let error as AgentError: error
            case let error as HostFileError: AgentError(error)
            default: AgentError(code: .crashed, message: "\(error)")
            }
        switch error.code {
        case .replaced, .notGone:
            self.mayLive = true
            return error
        case .launchFailed, .hostUnavailable, .failed, .crashed:
            guard await withoutCancellation({ await self.stopProgram() }) else {
                return AgentError(
                    code: .notGone, message: "\(error.message); what runs of it could not be proved gone")
            }
            return error
        }
    }

    /// The failure that an exit record stands for, with the last output of the program.
    static func failure(_ record: ExitRecord, of assignment: Assignment) -> AgentError {
        let words = Printable.text(String(decoding: record.errorOutput, as: UTF8.self), limit: 300)
        let code: AgentError.Code =
            switch record.endedBy {
            case .launchFailed: .launchFailed
            case .hostFailed: .hostUnavailable
            case .itself, .stop, .orphaned, .logQuota, .logFailed: record.isCutOff ? .crashed : .failed
            }
        return AgentError(
            code: code,
            message:
                "the agent '\(assignment.definition.name)' failed: \(record.summary)\(words.isEmpty ? "" : ": \(words)")"
        )
    }

    // MARK: - Reports

    /// Runs, and reports changes of state meanwhile.
    private func reportingRun() async throws -> ExitRecord {
        // Of states that follow each other too fast the newest counts.
        let (states, state) = AsyncStream<AgentStatus>.makeStream(bufferingPolicy: .bufferingNewest(1))
        // Canceled and awaited at the end of this scope, so that its last pause is not waited for.
        async let _: Void = self.publish(states)
        defer { state.finish() }
        return try await self.runToEnd { state.yield($0) }
    }

    private func publish(_ states: AsyncStream<AgentStatus>) async {
        for await state in states {
            await self.publish(state)
            do { try await self.clock.sleep(for: Self.reportInterval) } catch { return }
        }
    }

    /// Reports the state, and keeps it with its evidence in the agent's directory.
    private func publish(_ status: AgentStatus) async {
        let directory = self.assignment.directory
        do {
            try await self.configuration.files.run {
                // A directory that no launch has made yet is not made for a note.
                guard try HostFiles.status(of: directory.path) != nil else { return }
                try directory.note(status)
            }
        } catch {
            // It is shown to people only; the report below is what counts.
            self.logger.debug("an agent's state could not be noted", error: error)
        }
        await self.report(status.state)
    }

    // MARK: - Launches

    private func runToEnd(_ report: @escaping @Sendable (AgentStatus) -> Void) async throws -> ExitRecord {
        let last = try await self.lastGeneration()
        if self.isFirstRun, last > 0 {
            self.isFirstRun = false
            self.generation = last
            if let record = try await self.takeBack(report) { return record }
            if self.assignment.isRecovered, !self.assignment.isRepeatable {
                throw AgentError(code: .crashed, message: "its last launch is gone and left no exit record")
            }
        }
        self.isFirstRun = false
        self.generation = last + 1
        self.launcher = nil
        let terminal = self.terminal()
        try await AgentLaunch(
            assignment: self.assignment, configuration: self.configuration, generation: self.generation,
            terminal: terminal, clock: self.clock, token: self.token
        ).start()
        do {
            guard let record = try await self.converse(isLaunch: true, terminal, report) else {
                throw AgentError(code: .crashed, message: "the agent's shim ended without an exit record")
            }
            return record
        } catch let error as HostFileError {
            // The program runs, so this is no launch that another node could make instead.
            throw AgentError(code: .crashed, message: "it could not be followed: \(error)")
        }
    }

    /// The number of the newest launch on disk, 0 when there is none. A directory that exists and cannot be read may be
    /// that of a living agent: it is tried again until the launch timeout, and nothing is launched. Then a delivery that
    /// this node held before throws `notGone`; a new one, whose earlier attempts were proved gone, `hostUnavailable`.
    private func lastGeneration() async throws -> Int {
        let directory = self.assignment.directory
        let deadline = ContinuousClock.now + self.configuration.launchTimeout
        var pause = Duration.milliseconds(10)
        while true {
            do {
                return try await self.configuration.files.run { try directory.generations.last ?? 0 }
            } catch let error as HostFileError {
                guard self.assignment.isRecovered else { throw error }
                guard ContinuousClock.now + pause < deadline else {
                    throw AgentError(
                        code: .notGone, message: "\(error); whether its last launch lives is not known")
                }
                try await self.clock.sleep(for: pause)
                pause = min(pause * 2, .seconds(1))
            }
        }
    }

    /// The record of the last launch, when this delivery is the one that began it: left on disk, or still to come from a
    /// living shim. Nil when a new launch must be made: the shim died, the program was ended by us or because it had no
    /// owner, or the launch belongs to an earlier attempt. Throws when that cannot be found out.
    private func takeBack(_ report: @escaping @Sendable (AgentStatus) -> Void) async throws -> ExitRecord? {
        let (directory, generation) = (self.assignment.directory, self.generation)
        guard self.assignment.isRecovered else {
            // An earlier attempt's program must be gone before the next one touches the workspace.
            guard await self.stopProgram() else {
                throw AgentError(code: .notGone, message: "what runs of its last launch could not be proved gone")
            }
            return nil
        }
        if let record = try await self.configuration.files.run({ try directory.exitRecord(generation) }) {
            return record.hadItsRun ? record : nil
        }
        do {
            guard let record = try await self.converse(isLaunch: false, self.terminal(), report) else { return nil }
            self.logger.notice("a living agent was taken back", metadata: ["agent.generation": "\(generation)"])
            return record.hadItsRun ? record : nil
        } catch let error as AgentError where error.code == .crashed {
            guard await self.stopProgram() else {
                throw AgentError(
                    code: .notGone, message: "\(error.message); what runs of it could not be proved gone")
            }
            return nil
        }
    }

    private func converse(
        isLaunch: Bool, _ terminal: AgentTerminal, _ report: @escaping @Sendable (AgentStatus) -> Void
    ) async throws -> ExitRecord? {
        let conversation = AgentConversation(
            self.assignment, generation: self.generation, isLaunch: isLaunch, configuration: self.configuration,
            group: self.group, clock: self.clock, terminal: terminal, report: report)
        do {
            let record = try await conversation.run()
            self.launcher = await conversation.launcher
            return record
        } catch {
            self.launcher = await conversation.launcher
            throw error
        }
    }

    private func terminal() -> AgentTerminal {
        AgentTerminal(
            self.assignment.directory, generation: self.generation, configuration: self.configuration,
            logger: self.logger)
    }

    /// Ends what runs of the last launch; false when there is no proof that it is gone.
    private func stopProgram() async -> Bool {
        let isStopped = await AgentStop(
            directory: self.assignment.directory, generation: self.generation, epoch: self.assignment.epoch,
            configuration: self.configuration, group: self.group, clock: self.clock, logger: self.logger,
            launcher: self.launcher
        ).run()
        self.mayLive = !isStopped
        return isStopped
    }
}

extension ExitRecord {
    /// False for a program that was ended from outside: it is run again.
    fileprivate var hadItsRun: Bool {
        switch self.endedBy {
        case .itself, .logQuota, .launchFailed, .logFailed: true
        case .stop, .orphaned, .hostFailed: false
        }
    }
}
