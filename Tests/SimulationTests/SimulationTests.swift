import Foundation
import Testing

/// The whole queue under random faults, many times over; each run follows from its seed.
@Suite("The simulated queue")
struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let replayedSeed = environment["ORCHESTRA_TEST_SEED"].flatMap { UInt64($0) }

    /// A few beside all the other tests; `ops/test` has a thousand run before them.
    private static let seeds =
        replayedSeed.map { $0...$0 } ?? 1...(environment["ORCHESTRA_SIMULATION_SEEDS"].flatMap { UInt64($0) } ?? 20)

    /// Runs seeds on threads of their own, since they leave no pause for others; what went wrong first, with what led to
    /// it.
    private static func firstViolation(
        _ seeds: ClosedRange<UInt64>, losesData: Bool = false, sabotage: Simulation.Sabotage? = nil
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
            let simulation = try Simulation(options)
            do {
                try simulation.run()
                return nil
            } catch {
                return """
                    seed \(seed): \(error)
                    replay: ORCHESTRA_TEST_SEED=\(seed) swift test --filter SimulationTests
                    \(Self.story(simulation.trace, of: "\(error)"))
                    """
            }
        } catch {
            return "seed \(seed) cannot be set up: \(error)"
        }
    }

    /// What happened to the first job that the text names, the nodes' lives, and the last steps.
    private static func story(_ trace: [String], of text: String) -> String {
        let job = text.split(whereSeparator: { !$0.isHexDigit && $0 != "-" }).first { $0.count == 36 }
        let lives = ["killed", "stands still", "drained", "stalls", "ends:", "join"]
        let told = trace.filter { line in job.map { line.contains($0) } ?? false || lives.contains { line.contains($0) }
        }
        return (told.suffix(60) + ["…"] + trace.suffix(20)).joined(separator: "\n")
    }

    @Test("histories of faults: no job lost, none doubled, each outcome audited once, and all come to their end")
    func histories() async throws {
        let violation = await Self.firstViolation(Self.seeds)
        #expect(violation == nil)
    }

    @Test(
        "300 histories in which the queue is emptied or set back: what is asked again comes to its end, nothing is stuck"
    )
    func lossyHistories() async throws {
        let seeds = Self.replayedSeed.map { $0...$0 } ?? 1...300
        let violation = await Self.firstViolation(seeds, losesData: true)
        #expect(violation == nil)
    }

    @Test("each kind of mistake is found", arguments: Simulation.Sabotage.allCases)
    func finds(_ sabotage: Simulation.Sabotage) async throws {
        let violation = await Self.firstViolation(1...300, sabotage: sabotage)
        #expect(violation != nil)
    }

    @Test("a seed tells the same history each time")
    func isDeterministic() throws {
        func trace() throws -> [String] {
            let simulation = try Simulation(Simulation.Options(seed: 7))
            try simulation.run()
            return simulation.trace
        }
        #expect(try trace() == trace())
    }
}
