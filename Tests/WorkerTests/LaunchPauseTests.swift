import Domain
import Synchronization
import TestSupport
import Testing

@testable import Worker

@Suite("LaunchPause", .timeLimit(.minutes(5)))
struct LaunchPauseTests {
    private let pause = LaunchPause()
    private let clock = VirtualClock()

    private func job(_ number: UInt64) -> JobID { JobID(milliseconds: number, randomHigh: 0, randomLow: 0) }

    @Test("nothing pauses the node before a launch failed")
    func healthy() {
        #expect(self.pause.reason == nil && self.pause.check.isHealthy)
    }

    @Test("a failed launch pauses the node and names the cause in its readiness")
    func paused() {
        #expect(self.pause.launchFailed(self.job(1), "no space left"))
        #expect(self.pause.reason == "this node cannot launch programs: no space left")
        #expect(!self.pause.check.isHealthy && self.pause.check.detail.contains("no space left"))
    }

    @Test("each job is returned a bounded number of times, whatever happens to others")
    func bound() {
        for _ in 0..<LaunchPause.returnsPerJob { #expect(self.pause.launchFailed(self.job(1), "x")) }
        #expect(!self.pause.launchFailed(self.job(1), "x"))
        #expect(self.pause.launchFailed(self.job(2), "x"))
    }

    @Test("a job that is taken for the cause pauses nothing, and a launch forgets what was before")
    func cause() {
        let other = LaunchPause()
        for _ in 0..<LaunchPause.returnsPerJob { _ = other.launchFailed(self.job(1), "x") }
        other.launched(self.job(1))
        #expect(other.launchFailed(self.job(1), "x"))
        let quiet = LaunchPause()
        for _ in 0...LaunchPause.returnsPerJob { _ = quiet.launchFailed(self.job(1), "the first") }
        #expect(!quiet.launchFailed(self.job(1), "the cause") && quiet.reason?.hasSuffix("the first") == true)
    }

    @Test("the check runs only after a failure, with growing pauses, and a success resumes the claims")
    func checks() async throws {
        let found = Mutex(["still full", "still full", nil] as [String?])
        let asked = Mutex<[Duration]>([])
        let resumed = Mutex(0)
        let (pause, clock) = (self.pause, self.clock)
        let running = Task {
            try await pause.run(
                problem: {
                    asked.withLock { $0.append(clock.now.offset) }
                    return found.withLock { $0.removeFirst() }
                }, clock: clock, resumed: { resumed.withLock { $0 += 1 } }, heartbeat: {})
        }
        defer { running.cancel() }
        for second in 1...12 {
            await self.clock.waitForSleeper()
            if second == 4 {
                #expect(asked.withLock { $0.isEmpty })
                _ = self.pause.launchFailed(self.job(1), "full")
            }
            self.clock.advance(by: .seconds(1))
        }
        await self.clock.waitForSleeper()
        #expect(asked.withLock { $0 } == [.seconds(4), .seconds(6), .seconds(10)])
        #expect(self.pause.reason == nil && resumed.withLock { $0 } == 1)
    }
}
