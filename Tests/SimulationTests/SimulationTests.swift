import Foundation
import Testing

/// The whole queue under random faults, many times over; each history follows from its seed.
@Suite("The simulated queue")
struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let replayedSeed = environment["ORCHESTRA_TEST_SEED"].flatMap { UInt64($0) }

    /// A few among all other tests; `ops/test` runs a thousand before them.
    private static let seeds =
        replayedSeed.map { $0...$0 } ?? 1...(environment["ORCHESTRA_SIMULATION_SEEDS"].flatMap { UInt64($0) } ?? 20)

    /// Runs histories on threads of their own, since they never suspend; the first violation, with what led to it.
    private static func firstViolation(
        _ seeds: ClosedRange<UInt64>, losesData: Bool = false, sabotage: Sabotage? = nil
    ) async -> String? {
        let threads: UInt64 = 2
        return await withTaskGroup(of: String?.self) { group in
            for thread in 0..<threads {
                group.addTask {
                    await Self.onThread {
                        for seed in seeds where seed % threads == thread {
                            let options = Simulation.Options(seed: seed, losesData: losesData, sabotage: sabotage)
                            if let text = Self.violation(options) { return text }
                        }
                        return nil
                    }
                }
            }
            var first: String?
            for await text in group { first = first ?? text }
            return first
        }
    }

    private static func onThread(_ work: @escaping @Sendable () -> String?) async -> String? {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: work()) }
        }
    }

    private static func violation(_ options: Simulation.Options) -> String? {
        let seed = options.seed
        do {
            try Simulation(options).run()
            return nil
        } catch {
            return """
                seed \(seed): \(error)
                replay: ORCHESTRA_TEST_SEED=\(seed) swift test --filter SimulationTests
                \(Self.story(Self.trace(options), of: "\(error)"))
                """
        }
    }

    /// The steps of a history, which is run once more for them.
    private static func trace(_ options: Simulation.Options) -> [String] {
        var options = options
        options.isTraced = true
        do {
            let simulation = try Simulation(options)
            do { try simulation.run() } catch { return simulation.trace + ["violation: \(error)"] }
            return simulation.trace
        } catch {
            return ["the simulation cannot be set up: \(error)"]
        }
    }

    /// What happened to the first job that the text names, the nodes' lives, and the last steps.
    private static func story(_ trace: [String], of text: String) -> String {
        let job = text.split(whereSeparator: { !$0.isHexDigit && $0 != "-" }).first { $0.count == 36 }
        let lives = [
            "slots", "killed", "suspended", "drained", "stall", "ends", "claim nothing", "emptied", "set back", "join",
        ]
        let lines = trace.filter { line in
            job.map { line.contains($0) } ?? false || lives.contains { line.contains($0) }
        }
        return (lines.suffix(60) + ["…"] + trace.suffix(20)).joined(separator: "\n")
    }

    @Test(
        "histories of faults: no job is lost or doubled, each outcome is audited once, no slot is idle while work waits"
    )
    func histories() async throws {
        let violation = await Self.firstViolation(Self.seeds)
        #expect(violation == nil)
    }

    @Test(
        "300 histories in which queues lose data: what is submitted again comes to its end, and nothing is stuck"
    )
    func lossyHistories() async throws {
        let seeds = Self.replayedSeed.map { $0...$0 } ?? 1...300
        let violation = await Self.firstViolation(seeds, losesData: true)
        #expect(violation == nil)
    }

    @Test("each kind of mistake is found", arguments: Sabotage.allCases)
    func finds(_ sabotage: Sabotage) async throws {
        let violation = await Self.firstViolation(1...300, sabotage: sabotage)
        #expect(violation != nil)
        if sabotage.leavesSlotsIdle { #expect(violation?.contains("free slots while lane") == true) }
    }

    @Test("the first seeds have one lane and several lanes, and jobs that outlast the faults")
    func coverage() throws {
        let simulations = try (1...20).map { try Simulation(Simulation.Options(seed: $0)) }
        #expect(simulations.contains(where: { $0.queues.count == 1 }))
        #expect(simulations.contains(where: { $0.queues.count > 1 && $0.queues.count >= $0.capacity }))
        let hasLongJob = simulations.contains { simulation in
            simulation.requests.contains { $0.duration > simulation.options.faultyTime }
        }
        #expect(hasLongJob)
    }

    @Test("a seed yields the same history each time", arguments: UInt64(1)...4)
    func isDeterministic(seed: UInt64) throws {
        let options = Simulation.Options(seed: seed)
        #expect(Self.trace(options) == Self.trace(options))
    }
}
