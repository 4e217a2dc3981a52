import Testing

@testable import Shim

@Suite("PendingAnswers")
struct PendingAnswersTests {
    private static let raw = TerminalSettings(isLineMode: false, isEchoing: false, isSignalling: true)

    private static func pending(at now: UInt64 = 0) -> PendingAnswers {
        var answers = PendingAnswers()
        answers.add([1, 2], to: 7, at: now)
        return answers
    }

    @Test("an answer is taken once")
    func once() {
        var answers = Self.pending()
        #expect(answers.take(Self.raw, group: 7, at: 0) == [1, 2])
        #expect(answers.take(Self.raw, group: 7, at: 0) == nil)
        #expect(answers.isEmpty)
    }

    @Test("where the kernel would echo an answer into the log, it waits for the program to leave line mode")
    func waits() {
        var answers = Self.pending()
        #expect(answers.take(.initial, group: 7, at: 10) == nil)
        #expect(answers.take(Self.raw, group: 7, at: 1000) == [1, 2])
    }

    @Test("an answer that could not be read in time is dropped")
    func dropped() {
        var answers = Self.pending()
        #expect(answers.take(.initial, group: 7, at: 1001) == nil)
        #expect(answers.isEmpty)
    }

    @Test("without echo an answer is written in line mode, too")
    func silentLineMode() {
        var answers = Self.pending()
        let silent = TerminalSettings(isLineMode: true, isEchoing: false, isSignalling: true)
        #expect(answers.take(silent, group: 7, at: 0) == [1, 2])
    }

    @Test("an answer is not typed to a program that did not ask")
    func otherGroup() {
        var answers = Self.pending()
        #expect(answers.take(Self.raw, group: 8, at: 0) == nil)
        #expect(answers.isEmpty)
    }

    @Test("answers keep their order, and those to an earlier program are dropped for a later one")
    func order() {
        var answers = Self.pending()
        answers.add([3], to: 7, at: 1)
        #expect(answers.take(Self.raw, group: 7, at: 1) == [1, 2, 3])
        answers.add([4], to: 7, at: 1)
        answers.add([5], to: 8, at: 2)
        #expect(answers.take(Self.raw, group: 8, at: 2) == [5])
    }

    @Test("answers that a program never reads are bounded")
    func bounded() {
        var answers = Self.pending()
        for _ in 0..<10_000 { answers.add([1], to: 7, at: 0) }
        #expect(answers.take(Self.raw, group: 7, at: 0)?.count == 4096)
    }
}
