internal import Domain
package import Sandboxing

/// Which tiers of sandboxes this host gives, found by running each.
package struct SandboxMeasure: Sendable {
    /// The result of one tier that was tried.
    package struct Trial: Sendable {
        package let tier: SandboxTier
        /// What the guard saw; empty when nothing ran.
        package let layers: [SandboxReport.Layer]
        /// Why the tier is not to be had, nil when it is.
        package let problem: String?
    }

    /// The tiers that were tried, strongest first.
    package let trials: [Trial]

    /// The strongest that holds.
    package var tier: SandboxTier { self.trials.first { $0.problem == nil }?.tier ?? .none }

    /// Runs the guard at each of the tiers in a workspace of its own until one holds, or with `all` at every one.
    package static func run(
        _ configuration: AgentConfiguration, tiers: [SandboxTier], workspace: String, processID: Int32,
        all: Bool = false
    ) async -> SandboxMeasure {
        var trials: [Trial] = []
        for tier in tiers.sorted(by: >) {
            let trial = await self.trial(tier, configuration, workspace: workspace, processID: processID)
            trials.append(trial)
            if trial.problem == nil, !all { break }
        }
        return SandboxMeasure(trials: trials)
    }

    private static func trial(
        _ tier: SandboxTier, _ configuration: AgentConfiguration, workspace: String, processID: Int32
    ) async -> Trial {
        var configuration = configuration
        configuration.plan = configuration.plan.at(tier)
        do {
            let report = try await CommandRunner(configuration: configuration, processID: processID)
                .report(profile: .measured, workspacePath: workspace)
            let silent = SandboxReport.names(of: tier).subtracting(report.layers.map(\.name)).sorted()
            let broken = report.layers.filter { !$0.holds }.map { "\($0.name) (\($0.detail))" }
            let problems = broken + silent.map { "\($0) (the guard did not report it)" }
            return Trial(
                tier: tier, layers: report.layers,
                problem: problems.isEmpty ? nil : "these layers do not hold: \(problems.joined(separator: ", "))")
        } catch {
            return Trial(tier: tier, layers: [], problem: Printable.text("\(error)", limit: 400))
        }
    }
}

extension SandboxProfile {
    /// What the tiers are tried with: modest limits and nothing of the host.
    package static let measured = SandboxProfile(
        name: .measured, summary: "What the tiers are tried with.", lowestTier: .landlock, processLimit: 64,
        openFileLimit: 256, fileSizeLimit: 1 << 20, memoryLimit: 1 << 30, treeMemoryLimit: 1 << 30,
        temporarySize: 1 << 20, homeSize: 1 << 20,
        environment: [:],
        readOnlyPaths: [])
}
