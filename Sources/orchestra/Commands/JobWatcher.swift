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

    /// Returns the final record.
    func watch(_ id: JobID) async throws -> JobRecord {
        var printer = StatePrinter(json: self.json)
        var terminal = TerminalFollower(directory: self.agents.map { AgentDirectory(root: $0, id: id) })
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
                show(
                    self.json ? JobText.json(job, result: result).text : JobText.page(job, result: result, shown: shown)
                )
                return job
            }
        }
    }
}

private struct StatePrinter {
    let json: Bool
    private var last: JobState?
    private let start = ContinuousClock.now

    init(json: Bool) { self.json = json }

    mutating func show(_ job: JobRecord) {
        guard job.state != self.last else { return }
        self.last = job.state
        guard !self.json else { return }
        let seconds = (ContinuousClock.now - self.start) / .seconds(1)
        let place = job.state == .running ? " on \(Printable.text(job.node))" : ""
        orchestra.show(String(format: "%6.2fs  %@%@", seconds, job.state.rawValue, place))
    }
}

/// Copies the new bytes of an agent's log to the screen, made harmless.
private struct TerminalFollower {
    private let directory: AgentDirectory?
    private var generation = 0
    private var offset: UInt64 = 0
    private var pending = ""

    var hasShown: Bool { self.offset > 0 }

    init(directory: AgentDirectory?) { self.directory = directory }

    mutating func pump() throws {
        guard let directory = self.directory, let latest = try directory.generations.last else { return }
        if latest != self.generation {
            self.generation = latest
            self.offset = 0
        }
        while true {
            let part = try directory.log(latest, from: self.offset, limit: 1024 * 1024)
            if part.bytes.isEmpty { break }
            self.offset = part.place + UInt64(part.bytes.count)
            self.pending += String(decoding: part.bytes, as: UTF8.self)
        }
        while let end = self.pending.firstIndex(where: \.isNewline) {
            show("         │ \(TerminalText.plain(String(self.pending[..<end])))")
            self.pending = String(self.pending[self.pending.index(after: end)...])
        }
    }

    mutating func finish() {
        if !self.pending.isEmpty { show("         │ \(TerminalText.plain(self.pending))") }
        self.pending = ""
    }
}
