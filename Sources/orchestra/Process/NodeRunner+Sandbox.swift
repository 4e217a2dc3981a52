import Agents
import CoreMetrics
import Cryptography
import Domain
import Foundation
import Logging
import Policy
import Sandboxing
import Worker

extension NodeRunner {
    /// The configuration of the node, with the sandbox tier that this host supports. Throws status 69 when no profile of
    /// the policy accepts that tier.
    func nodeConfiguration() async throws -> NodeConfiguration {
        let settings = self.context.settings
        var (agents, measure) = try await self.context.measuredAgents()
        try self.checkTier(measure)
        let swept = agents.plan.host.controlGroups.sweep()
        if !swept.isEmpty {
            self.logger.warning("processes whose shim is gone were ended", metadata: ["groups": "\(swept)"])
        }
        agents.gate = SandboxGate()
        self.report(measure)
        return NodeConfiguration(
            node: try self.context.node(), owner: try self.owner(), redis: try self.context.redis(),

            slots: try settings.integer("worker.slots"),
            workspaceConcurrency: try settings.integer("worker.workspace-concurrency"),
            grace: try settings.seconds("worker.grace"), agents: agents,
            response: SecurityWatch.Response(rawValue: try settings.required("watch.response")) ?? .report)
    }

    /// Runs the escape test and opens the gate for programs when no attempt works; tries again while the test itself
    /// cannot be run. Returns when that is decided, or when the task is cancelled.
    func testEscapes(_ agents: AgentConfiguration) async {
        guard let gate = agents.gate else { return }
        while true {
            do {
                return try await self.testEscapesOnce(agents, gate)
            } catch {
                guard !Task.isCancelled else { break }
                // Nothing is known of the sandbox, so nothing is run; the reason may pass.
                self.logger.error("the escape test could not be run", error: error)
                gate.wait(
                    for:
                        "the escape test could not be run: \(Printable.text("\(error)", limit: 300)); it is tried again"
                )
                do { try await ContinuousClock().sleep(for: .seconds(10)) } catch { break }
            }
        }
        gate.close("the node is stopping")
    }

    private func testEscapesOnce(_ agents: AgentConfiguration, _ gate: SandboxGate) async throws {
        let tier = agents.plan.tier.rawValue
        guard try self.context.settings.required("sandbox.selftest") == "start" else {
            self.logger.warning("the escape test is off", metadata: ["setting": "sandbox.selftest"])
            return gate.open("tier \(tier), not tested: sandbox.selftest is never")
        }
        let results = try await EscapeTest(
            configuration: agents, profile: .measured,
            directory: try Host.privateDirectory(self.context.stateDirectory + "/selftest/node"), processID: getpid()
        ).run()
        let escapes = results.filter { !$0.holds }
        self.record("orchestra_escape_attempts", [("result", "held")], results.count - escapes.count)
        self.record("orchestra_escape_attempts", [("result", "escaped")], escapes.count)
        for escape in escapes {
            self.logger.critical(
                "an escape attempt succeeded",
                metadata: [
                    "attempt": "\(escape.attempt.name)", "evidence": "\(Printable.text(escape.evidence ?? ""))",
                ])
        }
        guard let first = escapes.first else {
            self.logger.notice(
                "no escape attempt succeeded",
                metadata: ["attempts": "\(results.count)", "sandbox.tier": "\(tier)"])
            return gate.open("tier \(tier), \(results.count) escape attempts failed")
        }
        gate.close(
            "\(escapes.count) of \(results.count) escape attempts succeeded, such as '\(first.attempt.name)'; no program is run (see: orchestra selftest escape)"
        )
    }

    private func checkTier(_ measure: SandboxMeasure) throws {
        let lowest = self.policy.bundle.profiles.values.map(\.lowestTier).min() ?? .namespaces
        guard measure.tier < lowest else { return }
        let reasons = measure.trials.map { "tier \($0.tier.rawValue): \($0.problem ?? $0.tier.summary)" }
        throw CommandError(
            .unavailable,
            "this host supports sandbox tier \(measure.tier.rawValue), and every profile requires \(lowest.rawValue) or more. \(reasons.joined(separator: "; "))"
        )
    }

    private func report(_ measure: SandboxMeasure) {
        self.record("orchestra_sandbox_tier", [], measure.tier.rawValue)
        for trial in measure.trials {
            guard let problem = trial.problem else { continue }
            let isRequired = self.policy.bundle.profiles.values.contains { $0.lowestTier >= trial.tier }
            self.logger.log(
                level: isRequired ? .warning : .notice, "this host does not support a sandbox tier",
                metadata: ["sandbox.tier": "\(trial.tier.rawValue)", "reason": "\(problem)"])
        }
        self.logger.notice(
            "the sandbox tier is measured",
            metadata: ["sandbox.tier": "\(measure.tier.rawValue)", "layers": "\(measure.tier.summary)"])
    }

    /// The machine and the state directory: they distinguish two nodes of one name.
    private func owner() throws -> String {
        // A machine without an id is distinguished by its name alone.
        let machine = FileManager.default.contents(atPath: "/etc/machine-id") ?? Data()
        let digest = try Digests.sha256(
            Array(machine) + Array("\(Host.hostName())/\(self.context.stateDirectory)".utf8))
        return Hexadecimal.text(of: digest.prefix(8))
    }
}
