package import CoreMetrics
internal import Domain
package import Logging
package import Sandboxing

/// A node's own escape test: opens the gate for programs when no known way out of the sandbox works, and closes it when
/// one does.
///
/// A test that was passed before under the same circumstances (`PassedEscapeTest`) opens the gate at once and is repeated
/// while programs run.
package struct SandboxSelftest: Sendable {
    private let configuration: AgentConfiguration
    private let gate: SandboxGate
    private let profiles: [SandboxProfile]
    private let directory: String
    private let processID: Int32
    private let metrics: any MetricsFactory
    private let logger: Logger
    private let clock: any Clock<Duration>

    private static let retryInterval = Duration.seconds(10)

    /// `profiles` are those of the policies; `directory` is one of the node's own, in which the test works and its result is
    /// kept.
    package init(
        configuration: AgentConfiguration, gate: SandboxGate, profiles: [SandboxProfile], directory: String,
        processID: Int32, metrics: any MetricsFactory, logger: Logger, clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.configuration = configuration
        self.gate = gate
        self.profiles = profiles
        self.directory = directory
        self.processID = processID
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
    }

    /// Returns once the test has a result, or the task is canceled. `settled` is called each time the gate was opened or
    /// closed.
    package func run(settled: @Sendable () async -> Void) async {
        let tier = self.configuration.plan.tier.rawValue
        let remembered = await self.remembered()
        if remembered {
            self.logger.notice("the escape test was passed before on this boot; it is repeated while programs run")
            self.gate.open("tier \(tier), the escape test was passed before on this boot and is being repeated")
            await settled()
        }
        while true {
            do {
                try await self.judge(try await self.test())
                return await settled()
            } catch {
                guard !Task.isCancelled else { return self.gate.close("the node is stopping") }
                self.logger.error("the escape test could not be run", error: error)
                // Without a result nothing is run, unless there is an earlier one; what was in the way may pass.
                if !remembered {
                    self.gate.wait(
                        for:
                            "the escape test could not be run: \(Printable.text("\(error)", limit: 300)); it is tried again"
                    )
                }
                do { try await self.clock.sleep(for: Self.retryInterval) } catch {
                    return self.gate.close("the node is stopping")
                }
            }
        }
    }

    private var file: String { self.directory + "/passed" }

    private func test() async throws -> [EscapeTest.Result] {
        try await EscapeTest(
            configuration: self.configuration, profile: .measured, directory: self.directory + "/work",
            processID: self.processID
        ).run()
    }

    private func judge(_ results: [EscapeTest.Result]) async throws {
        let escapes = results.filter { !$0.holds }
        self.record(results.count - escapes.count, "held")
        self.record(escapes.count, "escaped")
        for escape in escapes {
            self.logger.critical(
                "a way out of the sandbox works",
                metadata: [
                    "attempt": "\(escape.attempt.name)", "evidence": "\(Printable.text(escape.evidence ?? ""))",
                ])
        }
        let tier = self.configuration.plan.tier.rawValue
        if let first = escapes.first {
            self.gate.close(
                "\(escapes.count) of \(results.count) attempts got out of the sandbox, such as '\(first.attempt.name)'; no program is run (see: orchestra selftest escape)"
            )
        } else {
            self.logger.notice(
                "no known way out of the sandbox works",
                metadata: ["attempts": "\(results.count)", "sandbox.tier": "\(tier)"])
            self.gate.open("tier \(tier), \(results.count) attempts to leave it held")
        }
        await self.keep(isPassed: escapes.isEmpty)
    }

    private func record(_ count: Int, _ result: String) {
        self.metrics.makeRecorder(
            label: "orchestra_escape_attempts", dimensions: [("result", result)], aggregate: false
        ).record(Int64(count))
    }

    // MARK: - The earlier test

    /// True when a test was passed under the present circumstances. What cannot be read was not passed.
    private func remembered() async -> Bool {
        let (configuration, profiles, file) = (self.configuration, self.profiles, self.file)
        do {
            return try await configuration.files.run {
                try PassedEscapeTest(configuration: configuration, profiles: profiles).isRemembered(in: file)
            }
        } catch {
            self.logger.warning("the result of the last escape test could not be read", error: error)
            return false
        }
    }

    private func keep(isPassed: Bool) async {
        let (configuration, profiles, file) = (self.configuration, self.profiles, self.file)
        do {
            try await configuration.files.run {
                guard isPassed else { return try PassedEscapeTest.forget(file) }
                try PassedEscapeTest(configuration: configuration, profiles: profiles).remember(in: file)
            }
        } catch {
            self.logger.warning("the result of the escape test could not be kept; the next start waits", error: error)
        }
    }
}
