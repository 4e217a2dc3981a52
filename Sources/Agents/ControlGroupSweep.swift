internal import Sandboxing

/// Ends what shims that are gone left in control groups, and removes the groups.
package struct ControlGroupSweep: Sendable {
    private let configuration: AgentConfiguration
    private let clock: any Clock<Duration>

    /// Passes over the groups, and the pause between two: what dies takes a moment, and what forks is met again.
    private static let passes = 50
    private static let pause = Duration.milliseconds(10)

    /// Takes the parts as given; `clock` paces the pauses between two passes.
    package init(configuration: AgentConfiguration, clock: any Clock<Duration> = ContinuousClock()) {
        self.configuration = configuration
        self.clock = clock
    }

    /// The names of the groups that held a process. Throws `HostFileError` when the groups cannot be read.
    package func run() async throws -> [String] {
        let groups = self.configuration.plan.host.controlGroups
        var held: Set<String> = []
        for _ in 0..<Self.passes {
            let pass = try await self.configuration.files.run { try groups.sweep() }
            held.formUnion(pass.held)
            guard !pass.left.isEmpty else { break }
            try await self.clock.sleep(for: Self.pause)
        }
        return held.sorted()
    }
}
