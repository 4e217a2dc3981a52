import Domain
import Jobs
import Redis
import Testing

@testable import orchestra

@Suite("Checks before the start of a node")
struct PreflightTests {
    @Test("a Redis that was slow is asked again, and no other failure is passed over")
    func slow() {
        let slow = RedisError(code: .timeout, message: "no answer")
        #expect(Preflight.isSlow(slow))
        #expect(Preflight.isSlow(JobQueueError(code: .unavailable, message: "away", underlying: slow)))
        for code in [RedisErrorCode.unreachable, .connectionLost, .refused, .configuration] {
            let other = RedisError(code: code, message: "no")
            #expect(!Preflight.isSlow(other))
            #expect(!Preflight.isSlow(JobQueueError(code: .unavailable, message: "away", underlying: other)))
        }
        #expect(!Preflight.isSlow(JobQueueError(code: .wrongMasterKey, message: "no")))
        #expect(!Preflight.isSlow(CommandError(.unavailable, "Redis evicts")))
    }
}
