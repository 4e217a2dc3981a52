import Agents
import Domain
import Foundation
import Jobs

/// Follows a job to its end and prints its states, and on the agent's own machine its terminal.
struct JobWatcher: Sendable {
    let session: QueueSession
    let workspace: WorkspaceID
    /// The agents' directory when their terminals are to be shown.
    let agents: String?
    let json: Bool
    /// Prints a line; by default on standard output, and a failure ends the process.
    var print: @Sendable (String) -> Void = { show($0) }

    /// Returns the final record; throws status 65 when the job has no record any more.
    func watch(_ id: JobID) async throws -> JobRecord {
        var printer = StatePrinter(json: self.json, print: self.print)
        var terminal = TerminalFollower(
            directory: self.agents.map { AgentDirectory(root: $0, id: id) }, print: self.print)
        while true {
            // With a terminal to show the wait is short; else a blocking read does the waiting.
            let state: JobState?
            if self.agents == nil {
                state = try await self.session.queue.waitForEnd(
                    of: id, in: self.workspace, timeout: .seconds(1))
            } else {
                state = try await self.session.queue.job(id, in: self.workspace)?.state
                try await ContinuousClock().sleep(for: .milliseconds(50))
            }
            guard let state, let job = try await self.session.queue.job(id, in: self.workspace) else {
                throw CommandError(.data, "the job \(id) has no record any more")
            }
            printer.show(job)
            try terminal.pump()
            if state.isFinal, job.state.isFinal {
                try terminal.pump()
                terminal.finish()
                let result = try await JobText.result(of: job, in: self.workspace, keys: self.session.keys)
                let shown: Set<String> = terminal.hasShown ? ["terminal"] : []
                self.print(
                    self.json ? JobText.json(job, result: result).text : JobText.page(job, result: result, shown: shown)
                )
                return job
            }
        }
    }
}
