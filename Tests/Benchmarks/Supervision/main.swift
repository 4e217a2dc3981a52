import CLinux
import Foundation
import Logging
import Supervision
import Synchronization

// orchestra-bench-supervision cost [--children N] [--rounds N]
// orchestra-bench-supervision contention [--supervisors N] [--children N]
//
// cost: what a supervised child costs against an unsupervised task in the same round: to start (until it runs),
// to stop, from its failure to its successor, and in memory. contention: N supervisors whose children
// all fail at once; exits with 1 unless all are back, for a run under a race detector.

let quiet = SupervisionEnvironment(logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }))

struct Crash: Error {}

func option(_ name: String, _ fallback: Int) -> Int {
    guard let index = CommandLine.arguments.firstIndex(of: name), index + 1 < CommandLine.arguments.count else {
        return fallback
    }
    return Int(CommandLine.arguments[index + 1]) ?? fallback
}

/// Counts down to zero and lets those go on who wait for that.
final class Countdown: Sendable {
    private let state: Mutex<(left: Int, waiters: [CheckedContinuation<Void, Never>])>

    init(_ count: Int) { self.state = Mutex((count, [])) }

    func arrive() {
        let waiters = self.state.withLock { state in
            state.left -= 1
            guard state.left <= 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOver = self.state.withLock { state in
                if state.left > 0 { state.waiters.append(continuation) }
                return state.left <= 0
            }
            if isOver { continuation.resume() }
        }
    }
}

/// Waits until the task is cancelled.
func untilCancelled() async {
    let (stream, _) = AsyncStream<Never>.makeStream()
    for await _ in stream {}
}

func microseconds(_ count: Int, _ body: () async throws -> Void) async rethrows -> Double {
    let begin = ContinuousClock.now
    try await body()
    return (ContinuousClock.now - begin) / .microseconds(1) / Double(count)
}

/// What this process has allocated and not freed, in KiB; unlike its resident memory it does not depend on what ran
/// before.
func allocatedKilobytes() -> Double { Double(orc_allocated_bytes()) / 1024 }

struct Figures {
    var start = 0.0
    var stop = 0.0
    var restart = 0.0
    var kilobytes = 0.0
}

@concurrent func measureTasks(_ count: Int) async -> Figures {
    var figures = Figures()
    let before = allocatedKilobytes()
    let up = Countdown(count)
    var tasks: [Task<Void, Never>] = []
    figures.start = await microseconds(count) {
        for _ in 0..<count {
            tasks.append(
                Task {
                    up.arrive()
                    await untilCancelled()
                })
        }
        await up.wait()
    }
    figures.kilobytes = (allocatedKilobytes() - before) / Double(count)
    figures.stop = await microseconds(count) {
        for task in tasks.reversed() {
            task.cancel()
            await task.value
        }
    }
    // The bare way back from a failure: the code that awaits a task starts the next.
    figures.restart = await microseconds(count) {
        for _ in 0..<count {
            let failed = Task { throw Crash() }
            if case .failure = await failed.result { await Task {}.value }
        }
    }
    return figures
}

@concurrent func measureSupervised(_ count: Int) async throws -> Figures {
    var figures = Figures()
    let before = allocatedKilobytes()
    let children = (0..<count).map { number in
        ChildSpecification(id: String(number)) { child in
            child.ready()
            await untilCancelled()
        }
    }
    let supervisor = try Supervisor(.init(name: "bench"), children: children, environment: quiet)
    let up = Countdown(1)
    let running = Task { try await supervisor.run(ready: { up.arrive() }) }
    figures.start = await microseconds(count) { await up.wait() }
    figures.kilobytes = (allocatedKilobytes() - before) / Double(count)
    figures.stop = try await microseconds(count) {
        supervisor.stop()
        try await running.value
    }
    figures.restart = try await measureRestarts(count)
    return figures
}

/// One child that fails as soon as it is up, as often as it may.
func measureRestarts(_ count: Int) async throws -> Double {
    let child = ChildSpecification(id: "crashing") { child in
        child.ready()
        throw Crash()
    }
    let supervisor = try Supervisor(
        .init(name: "bench", intensity: count, period: .seconds(3600)), children: [child], environment: quiet)
    return await microseconds(count) {
        do { try await supervisor.run() } catch { return }
    }
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func reportCost() async throws {
    let (count, rounds) = (option("--children", 10_000), option("--rounds", 5))
    var tasks: [Figures] = []
    var supervised: [Figures] = []
    for _ in 0..<rounds {
        tasks.append(await measureTasks(count))
        supervised.append(try await measureSupervised(count))
    }
    print("\(count) children, \(rounds) rounds, medians")
    print("                          task   supervised child   ratio, median of rounds")
    func row(_ name: String, _ unit: String, _ figure: (Figures) -> Double) {
        let ratio = median(zip(supervised, tasks).map { figure($0) / max(figure($1), 0.001) })
        let label = "\(name), \(unit)".padding(toLength: 22, withPad: " ", startingAt: 0)
        print(
            label
                + String(
                    format: "%8.2f %18.2f %9.1f", median(tasks.map(figure)), median(supervised.map(figure)), ratio))
    }
    row("start", "µs") { $0.start }
    row("stop", "µs") { $0.stop }
    row("failure to successor", "µs") { $0.restart }
    row("memory", "KiB") { $0.kilobytes }
}

func checkContention() async throws {
    let (supervisors, children) = (option("--supervisors", 50), option("--children", 200))
    let (firstLives, secondLives) = (Countdown(supervisors * children), Countdown(supervisors * children))
    let failure = Countdown(1)
    let lost = Mutex(0)
    try await withThrowingTaskGroup(of: Void.self) { group in
        var all: [Supervisor] = []
        for number in 0..<supervisors {
            let specifications = (0..<children).map { child in
                let lives = Mutex(0)
                return ChildSpecification(id: String(child)) { child in
                    let life = lives.withLock { lives in
                        lives += 1
                        return lives
                    }
                    child.ready()
                    (life == 1 ? firstLives : secondLives).arrive()
                    guard life == 1 else { return await untilCancelled() }
                    await failure.wait()
                    throw Crash()
                }
            }
            let supervisor = try Supervisor(
                .init(name: "s\(number)", intensity: children, period: .seconds(3600)), children: specifications,
                environment: quiet)
            all.append(supervisor)
            group.addTask { try await supervisor.run() }
        }
        await firstLives.wait()
        failure.arrive()
        await secondLives.wait()
        for supervisor in all {
            let back = try await supervisor.whichChildren().count { $0.state == .running && $0.restarts == 1 }
            lost.withLock { $0 += children - back }
        }
        group.cancelAll()
        try await group.waitForAll()
    }
    let missing = lost.withLock { $0 }
    print("\(supervisors) supervisors of \(children) children: all failed at once, \(missing) did not come back")
    if missing > 0 { exit(1) }
}

switch CommandLine.arguments.dropFirst().first {
case "cost": try await reportCost()
case "contention": try await checkContention()
default:
    print("expected: orchestra-bench-supervision cost|contention")
    exit(64)
}
