import Testing

@testable import Redis

@Suite("The reconnect backoff")
struct ReconnectBackoffTests {
    @Test("the pauses double from a quarter of a second to two seconds")
    func doubles() {
        var backoff = ReconnectBackoff()
        let pauses = (0..<6).map { _ in backoff.next(factor: 1) }
        #expect(
            pauses == [
                .milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2), .seconds(2), .seconds(2),
            ])
    }

    @Test("jitter only lengthens a pause, and never beyond three seconds")
    func jitter() {
        #expect(ReconnectBackoff.jitter.lowerBound >= 1)
        var backoff = ReconnectBackoff()
        for _ in 0..<10 {
            #expect(backoff.next(factor: ReconnectBackoff.jitter.upperBound) < .seconds(3))
        }
    }

    @Test("a connection that ends at once does not start the pauses over")
    func shortLife() {
        var backoff = ReconnectBackoff()
        for _ in 0..<5 {
            _ = backoff.next(factor: 1)
            backoff.connectionEnded(after: .milliseconds(10))
        }
        #expect(backoff.next(factor: 1) == ReconnectBackoff.longest)
    }

    @Test("connections that break at once are made less than once a second after the first seconds")
    func rate() {
        var backoff = ReconnectBackoff()
        var time = Duration.zero
        var attempts: [Duration] = []
        while time < .seconds(60) {
            attempts.append(time)
            backoff.connectionEnded(after: .milliseconds(1))
            time += backoff.next(factor: ReconnectBackoff.jitter.lowerBound)
        }
        let late = attempts.filter { $0 >= .seconds(6) }
        #expect(late.count < 54)
    }

    @Test("a stable connection starts the pauses over")
    func stable() {
        var backoff = ReconnectBackoff()
        for _ in 0..<5 { _ = backoff.next(factor: 1) }
        backoff.connectionEnded(after: ReconnectBackoff.stableTime)
        #expect(backoff.next(factor: 1) == ReconnectBackoff.first)
    }

    @Test("of connections that break in a row the second, fourth, eighth and so on is logged")
    func logging() {
        var backoff = ReconnectBackoff()
        var logged: [Int] = []
        for number in 1...16 {
            backoff.connectionEnded(after: .zero)
            if backoff.isLogged { logged.append(number) }
        }
        #expect(logged == [1, 2, 4, 8, 16])
    }
}
