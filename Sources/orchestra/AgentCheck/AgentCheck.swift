import Agents
import Cryptography
import Domain
import Foundation
import Logging
import NIOPosix
import Sandboxing
import ScriptedModel
import ShimProtocol

/// Runs the program of a definition once for each thing that a scripted model can do to it, and judges what was seen.
struct AgentCheck: Sendable {
    /// In the shared directory of the workspace, whatever its file says.
    let definition: AgentDefinition
    let profile: SandboxProfile
    let configuration: AgentConfiguration
    let workspace: WorkspaceID
    let workspacePath: String
    let model: ScriptedModel
    /// The key that the sandbox must not see.
    let key: String
    /// Whether the profile reaches models.
    let hasModel: Bool
    /// The events of the egress server, one a line; nil when the profile has no egress.
    let trail: String?
    let logger: Logger

    private static let launchLimit = Duration.seconds(120)
    private static let interval = Duration.milliseconds(50)

    /// Runs all of it, which takes some seconds to minutes. Throws when what was seen cannot be read.
    func report() async throws -> AgentCheckReport {
        var report = AgentCheckReport(agent: self.definition.name)
        await self.probe(&report)
        let mark = "check-\(UInt64.random(in: 0...(.max)))"
        let first = try await self.launch(
            self.hasModel ? "\(ModelScript.Step.text.marker) Say that it is done (\(mark))." : "true \(mark)")
        report.judgeFirst(first, self.definition, mark: mark, hasModel: self.hasModel)
        guard self.hasModel else {
            report.judgeCredential(first, hasModel: false, isShown: false)
            report.judgeWork(first, isEdited: false, hasModel: false)
            try self.judgeNetwork(&report)
            for name in [AgentCheckReport.Name.throttle, .budget, .stop] {
                report.add(name, nil, "its profile reaches no model")
            }
            return Self.ended(report)
        }
        let work = try await self.launch("Write the file.")
        let isEdited = FileManager.default.contents(atPath: "\(self.workspacePath)/\(ToolCall.file)")?.isEmpty == false
        report.judgeCredential(first, hasModel: true, isShown: first.shows(self.key) || work.shows(self.key))
        report.judgeWork(work, isEdited: isEdited, hasModel: true)
        try self.judgeNetwork(&report)
        report.judgeThrottle(try await self.launch("\(ModelScript.Step.throttle.marker) Write the file."))
        report.judgeBudget(try await self.launch("\(ModelScript.Step.budget.marker) Write the file."))
        let (model, before) = (self.model, self.model.calls.count)
        report.judgeStop(
            try await self.launch("\(ModelScript.Step.slow.marker) Write the file.") {
                model.calls.dropFirst(before).contains { $0.step == .slow }
            })
        return Self.ended(report)
    }

    private static func ended(_ report: AgentCheckReport) -> AgentCheckReport {
        var report = report
        report.add(.resume, nil, "the definition has no arguments for it")
        return report
    }

    private func probe(_ report: inout AgentCheckReport) async {
        guard let program = self.definition.argv.first, !self.definition.probe.isEmpty else {
            return report.judgeProbe(self.definition, output: nil, problem: nil)
        }
        do {
            let record = try await CommandRunner(configuration: self.configuration, processID: getpid()).run(
                [program] + self.definition.probe, input: [], environment: self.definition.environment,
                profile: self.profile.withoutEgress, workspacePath: self.workspacePath)
            let output = String(decoding: record.output + record.errorOutput, as: UTF8.self)
            report.judgeProbe(self.definition, output: output, problem: nil)
        } catch {
            report.judgeProbe(self.definition, output: nil, problem: "\(error)")
        }
    }

    private func judgeNetwork(_ report: inout AgentCheckReport) throws {
        var (reached, refused): (Set<String>, Set<String>) = ([], [])
        if let trail, let data = FileManager.default.contents(atPath: trail) {
            for line in data.split(separator: UInt8(ascii: "\n")) {
                let event = try JSONParser.parse(Array(line))
                guard event["door"] != "model", let host = event["host"]?.string else { continue }
                if event["decision"] == "allow" { reached.insert(host) } else { refused.insert(host) }
            }
        }
        report.judgeNetwork(reached: reached.sorted(), refused: refused.sorted(), hasModel: self.hasModel)
    }

    /// Launches the program with this prompt as an agent, and waits for its end; once `isEnough` it is stopped.
    private func launch(_ prompt: String, until isEnough: (@Sendable () -> Bool)? = nil) async throws -> AgentCheckRun {
        let before = self.model.calls.count
        let id = JobID(
            milliseconds: Host.wallMilliseconds(), randomHigh: .random(in: 0...(.max)),
            randomLow: .random(in: 0...(.max)))
        let directory = AgentDirectory(root: self.configuration.root, id: id)
        let agent = Agent(
            Agent.Assignment(
                directory: directory, definition: self.definition, profile: self.profile,
                workspacePath: self.workspacePath, workspace: self.workspace, prompt: prompt, isRecovered: false,
                epoch: 1, isRepeatable: false),
            configuration: self.configuration, group: .singleton, logger: self.logger,
            token: { try Digests.randomBytes(count: 32) }, report: { _ in })
        let problem = await withTaskGroup(of: String?.self) { tasks in
            tasks.addTask {
                do {
                    _ = try await agent.run(ready: {})
                    return nil
                } catch { return "\(error)" }
            }
            tasks.addTask { await Self.wait(until: isEnough) }
            // The end of the agent's task is the end of its program.
            defer { tasks.cancelAll() }
            return await tasks.next() ?? nil
        }
        let (model, rules) = (self.model, self.definition.screen)
        return try await self.configuration.files.run {
            AgentCheckRun(
                record: try directory.exitRecord(1), calls: Array(model.calls.dropFirst(before)),
                output: try directory.wholeLog(1)?.bytes ?? [],
                screens: try directory.screenStates(1, rules: rules), problem: problem)
        }
    }

    /// Returns nil once `isEnough`, and the reason when the time is over. Ends with its task.
    private static func wait(until isEnough: (@Sendable () -> Bool)?) async -> String? {
        let deadline = ContinuousClock.now + Self.launchLimit
        while ContinuousClock.now < deadline {
            if isEnough?() == true { return nil }
            do { try await ContinuousClock().sleep(for: Self.interval) } catch { return nil }
        }
        return "it did not end within 120 s"
    }
}
