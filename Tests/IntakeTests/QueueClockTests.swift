import Synchronization
import Testing

@testable import Jobs

@Suite("The queue's clock")
struct QueueClockTests {
    private final class Hands: Sendable {
        let elapsed = Mutex<Duration>(.seconds(5))
        let wall = Mutex<UInt64>(1_000)
    }

    @Test("it is the machine's until Redis was asked, and Redis' from then on, whatever happens to the machine's")
    func clock() {
        let hands = Hands()
        let clock = QueueClock(elapsed: { hands.elapsed.withLock { $0 } }, wall: { hands.wall.withLock { $0 } })
        #expect(clock.now() == 1_000)
        clock.set(90_000)
        #expect(clock.now() == 90_000)
        hands.elapsed.withLock { $0 += .milliseconds(1_250) }
        hands.wall.withLock { $0 = 7 }
        #expect(clock.now() == 91_250)
        // Redis' own may be set back.
        clock.set(80_000)
        #expect(clock.now() == 80_000)
    }
}
