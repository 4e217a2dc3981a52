import Domain
import Testing

@testable import Agents

@Suite("The gate before sandboxes")
struct SandboxGateTests {
    @Test("a waiting caller passes when it opens, and a later one gets the reason when it closes")
    func settled() async throws {
        let gate = SandboxGate()
        #expect(gate.pauseReason != nil)
        async let first: Void = gate.pass()
        gate.open("tested")
        try await first
        #expect(gate.pauseReason == nil)
        gate.close("it leaks")
        await #expect(throws: AgentError.self) { try await gate.pass() }
    }

    @Test("a test that is repeated and fails closes a gate that was open")
    func closedLater() async throws {
        let gate = SandboxGate()
        gate.open("passed before")
        try await gate.pass()
        gate.close("it leaks")
        let error = await #expect(throws: AgentError.self) { try await gate.pass() }
        #expect(error?.code == .hostUnavailable && gate.pauseReason == "it leaks")
        #expect(!gate.check.isHealthy)
    }

    @Test("a cancelled caller does not wait for the test's end")
    func cancelled() async {
        let gate = SandboxGate()
        let waiting = Task { try await gate.pass() }
        await Task.yield()
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        let late = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            try await gate.pass()
        }
        await #expect(throws: CancellationError.self) { try await late.value }
    }
}
