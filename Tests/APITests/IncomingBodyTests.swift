import Domain
import NIOCore
import Testing

@testable import API

@Suite("IncomingBody")
struct IncomingBodyTests {
    /// Gives parts as they are asked for, as the owner of a connection does, then ends the body.
    private static func feed(_ body: IncomingBody, _ parts: [String], then error: (any Error)? = nil) async -> Int {
        var given = 0
        for await _ in body.demands where body.isAwaited {
            if given < parts.count {
                body.give(ByteBuffer(string: parts[given]))
                given += 1
            } else {
                body.finish(throwing: error)
            }
        }
        return given
    }

    private static func text(_ part: ByteBuffer?) -> String? { part.map { String(buffer: $0) } }

    private struct Broken: Error {}

    @Test("a part is given when it is asked for, one for each question, and nothing after the end")
    func parts() async throws {
        let body = IncomingBody(limit: 100)
        async let given = Self.feed(body, ["a", "b", "never"])
        #expect(Self.text(try await body.next()) == "a")
        #expect(Self.text(try await body.next()) == "b")
        body.close()
        #expect(await given == 2)
    }

    @Test("the end is the end for every later question")
    func end() async throws {
        let body = IncomingBody(limit: 100)
        async let given = Self.feed(body, ["a"])
        #expect(Self.text(try await body.next()) == "a")
        for _ in 0..<3 { #expect(try await body.next() == nil) }
        body.close()
        #expect(await given == 1)
    }

    @Test("an error is what the body ends with, and what comes after it is nothing")
    func failure() async throws {
        let body = IncomingBody(limit: 100)
        async let given = Self.feed(body, ["a"], then: Broken())
        #expect(Self.text(try await body.next()) == "a")
        await #expect(throws: Broken.self) { try await body.next() }
        body.finish()
        await #expect(throws: Broken.self) { try await body.next() }
        body.close()
        #expect(await given == 1)
    }

    @Test("past the limit the body ends with 413 and the part is not handed on")
    func limit() async throws {
        let body = IncomingBody(limit: 5)
        async let given = Self.feed(body, ["abc", "de", "f"])
        #expect(Self.text(try await body.next()) == "abc")
        #expect(Self.text(try await body.next()) == "de")
        let problem = await #expect(throws: Problem.self) { try await body.next() }
        #expect(problem?.code == .tooLarge && problem?.closes == true)
        body.close()
        #expect(await given == 3)
    }

    @Test("a caller that is cancelled ends at once, and the part that it had asked for is the next one's")
    func cancelled() async throws {
        let body = IncomingBody(limit: 100)
        var demands = body.demands.makeAsyncIterator()
        let caller = Task { try await body.next() }
        #expect(await demands.next() != nil)
        caller.cancel()
        await #expect(throws: CancellationError.self) { try await caller.value }
        #expect(!body.isAwaited)
        // It had arrived by then.
        body.give(ByteBuffer(string: "late"))
        #expect(Self.text(try await body.next()) == "late")
    }

    @Test("only one caller may wait")
    func second() async throws {
        let body = IncomingBody(limit: 100)
        var demands = body.demands.makeAsyncIterator()
        async let first = body.next()
        #expect(await demands.next() != nil)
        await #expect(throws: CancellationError.self) { try await body.next() }
        body.give(ByteBuffer(string: "a"))
        #expect(Self.text(try await first) == "a")
    }
}

@Suite("TransferPlaces")
struct TransferPlacesTests {
    @Test("a workspace has one place, the node a few, and each comes back with its ticket")
    func places() throws {
        let places = TransferPlaces(limit: 2)
        let names = try (0..<3).map { try WorkspaceID("w\($0)") }
        var first = places.enter(names[0])
        #expect(first != nil && places.enter(names[0]) == nil)
        let second = places.enter(names[1])
        #expect(second != nil && places.enter(names[2]) == nil)
        first = nil
        #expect(places.enter(names[1]) == nil)
        #expect(places.enter(names[2]) != nil)
        withExtendedLifetime((first, second)) {}
    }
}
