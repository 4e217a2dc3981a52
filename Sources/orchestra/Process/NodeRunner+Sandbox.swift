import Agents
import CoreMetrics
import Cryptography
import Domain
import Foundation
import Jobs
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
        let swept = try await ControlGroupSweep(configuration: agents).run()
        if !swept.isEmpty {
            self.logger.warning("processes whose shim is gone were ended", metadata: ["groups": "\(swept)"])
        }
        agents.gate = SandboxGate()
        if !self.policy.bundle.egressRules.isEmpty {
            agents.egress = try self.context.egressEndpoint(self.policy.bundle)
        }
        self.report(measure)
        var configuration = NodeConfiguration(
            node: try self.context.node(), owner: try self.owner(), redis: try self.context.redis(),
            slots: try settings.integer("worker.slots"),
            workspaceConcurrency: try settings.integer("worker.workspace-concurrency"),
            grace: try settings.seconds("worker.grace"), agents: agents,
            response: SecurityWatch.Response(rawValue: try settings.required("watch.response")) ?? .report)
        configuration.archive = try self.context.archive()
        return configuration
    }

    /// What keeps copies of the workspaces' files; nil when none are made. Throws status 78 when the directory cannot be used.
    func copier(_ configuration: NodeConfiguration, _ access: QueueAccess) throws -> WorkspaceCopier? {
        guard let directory = try self.context.copiesDirectory() else { return nil }
        return WorkspaceCopier(
            copies: NodeCopies(
                context: self.context, agents: configuration.agents, store: access.store,
                node: configuration.node.name, directory: try Host.privateDirectory(directory), logger: self.logger),
            interval: try self.context.settings.seconds("workspaces.copy-interval"), queueClock: access.clock,
            metrics: self.metrics, logger: self.logger)
    }

    /// Opens the gate for programs once the escape test has been passed, or at once where the test is off. `settled` is
    /// called each time the gate was opened or closed. Returns when the task is cancelled, or when nothing is left to test.
    func testEscapes(_ agents: AgentConfiguration, settled: @Sendable () async -> Void) async {
        guard let gate = agents.gate else { return }
        do {
            guard try self.context.settings.required("sandbox.selftest") == "start" else {
                self.logger.warning("the escape test is off", metadata: ["setting": "sandbox.selftest"])
                gate.open("tier \(agents.plan.tier.rawValue), not tested: sandbox.selftest is never")
                return await settled()
            }
            let directory = try Host.privateDirectory(self.context.stateDirectory + "/selftest/node")
            await SandboxSelftest(
                configuration: agents, gate: gate, profiles: Array(self.policy.bundle.profiles.values),
                directory: directory, processID: getpid(), metrics: self.metrics, logger: self.logger
            ).run(settled: settled)
        } catch {
            self.logger.error("the escape test could not be run", error: error)
            gate.close("the escape test could not be run: \(Printable.text("\(error)", limit: 300))")
            await settled()
        }
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
        let machine = try HostFiles.contents(of: "/etc/machine-id") ?? []
        let digest = try Digests.sha256(
            machine + Array("\(Host.hostName())/\(self.context.stateDirectory)".utf8))
        return Hexadecimal.text(of: digest.prefix(8))
    }
}
