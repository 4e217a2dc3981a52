import Agents
import Domain
import Jobs
import Logging
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Worker

@Suite("WorkspaceCopier", .timeLimit(.minutes(5)))
struct WorkspaceCopierTests {
    /// Copies that are remembered, and fail where a test says so.
    private final class Copies: WorkspaceCopies {
        let steps = Mutex<[String]>([])
        let failing = Mutex<Set<String>>([])

        private func note(_ step: String) throws(AgentError) {
            self.steps.withLock { $0.append(step) }
            guard !self.failing.withLock({ $0.contains(step) }) else {
                throw AgentError(code: .hostUnavailable, message: "\(step) failed")
            }
        }

        func take(_ workspace: WorkspaceID) async throws(AgentError) {
            await Task.yield()
            try self.note("take \(workspace)")
        }
        func make(_ workspace: WorkspaceID) async throws { try self.note("make \(workspace)") }

        /// The steps since the last call.
        func taken() -> [String] {
            self.steps.withLock { steps in
                defer { steps = [] }
                return steps
            }
        }
    }

    private let copies = Copies()
    private let clock = VirtualClock()
    private let copier: WorkspaceCopier
    private let acme: WorkspaceID
    private let other: WorkspaceID

    init() throws {
        let clock = self.clock
        self.acme = try WorkspaceID("acme")
        self.other = try WorkspaceID("other")
        self.copier = WorkspaceCopier(
            copies: self.copies, interval: .seconds(10),
            queueClock: QueueClock(elapsed: { clock.now.offset }, wall: { 0 }), metrics: MetricsRegistry(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Lets the copier run, and calls the body with what lets its next turn pass.
    private func whileRunning(_ body: (() async -> Void) async throws -> Void) async throws -> [String] {
        let (copier, clock) = (self.copier, self.clock)
        let running = Task { try await copier.run(clock: clock) }
        await clock.waitForSleeper()
        try await body {
            clock.advance(by: .seconds(10))
            await clock.waitForSleeper()
        }
        _ = self.copies.taken()
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        return self.copies.taken()
    }

    @Test("the last copy is taken before a run, and not under a run or for one that is resumed")
    func takes() async throws {
        let (copier, copies, acme) = (self.copier, self.copies, self.acme)
        try await copier.using(acme) {
            #expect(copies.taken() == ["take acme"])
            try await copier.using(acme) { #expect(copies.taken() == []) }
        }
        try await copier.using(acme) { #expect(copies.taken() == ["take acme"]) }
        try await copier.using(self.other, isResumed: true) { #expect(copies.taken() == []) }
    }

    @Test("a run does not begin without its copy, and the next one tries again")
    func failedTake() async throws {
        self.copies.failing.withLock { $0 = ["take acme"] }
        await #expect(throws: AgentError.self) {
            try await self.copier.using(self.acme) { Issue.record("it ran") }
        }
        self.copies.failing.withLock { $0 = [] }
        #expect(try await self.copier.using(self.acme) { 7 } == 7)
        #expect(self.copies.taken() == ["take acme", "take acme"])
    }

    @Test("what runs changed is copied in the next turn, what still runs in each, what failed again")
    func makes() async throws {
        let (copier, copies, acme) = (self.copier, self.copies, self.acme)
        copies.failing.withLock { $0 = ["make other"] }
        let last = try await self.whileRunning { turn in
            await turn()
            #expect(copies.taken() == [])
            try await copier.using(acme) {
                try await copier.using(self.other) {}
                _ = copies.taken()
                await turn()
                #expect(copies.taken() == ["make acme", "make other"])
            }
            copies.failing.withLock { $0 = [] }
            await turn()
            #expect(copies.taken() == ["make acme", "make other"])
            await turn()
            #expect(copies.taken() == [])
        }
        #expect(last == [])
    }

    @Test("a run that fails has changed files too, and a drain copies what is not copied yet")
    func drain() async throws {
        let (copier, acme) = (self.copier, self.acme)
        let last = try await self.whileRunning { _ in
            await #expect(throws: TestFailure.self) {
                try await copier.using(acme) { throw TestFailure("ended") }
            }
        }
        #expect(last == ["make acme"])
    }
}
