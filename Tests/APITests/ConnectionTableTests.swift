import Testing

@testable import API

@Suite("ConnectionTable")
struct ConnectionTableTests {
    @Test("one address has no more connections than its share, and another address does not notice")
    func shares() {
        var table = ConnectionTable<Int>(limit: 10, addressLimit: 2)
        #expect(table.add(1, from: "a") == .admitted(evicting: nil))
        #expect(table.add(2, from: "a") == .admitted(evicting: nil))
        #expect(table.add(3, from: "a") == .refused)
        #expect(table.add(4, from: "b") == .admitted(evicting: nil))
        #expect(table.count == 3)
    }

    @Test("a connection that closes gives its place in the share back")
    func leaves() {
        var table = ConnectionTable<Int>(limit: 10, addressLimit: 1)
        _ = table.add(1, from: "a")
        table.remove(1)
        #expect(table.add(2, from: "a") == .admitted(evicting: nil))
        #expect(table.count == 1)
    }

    @Test("connections without an address have no share")
    func unbounded() {
        var table = ConnectionTable<Int>(limit: 10, addressLimit: 1)
        for id in 0..<5 { #expect(table.add(id, from: nil) == .admitted(evicting: nil)) }
    }

    @Test("when all places are taken the connection that has been idle longest makes room")
    func evicts() {
        var table = ConnectionTable<Int>(limit: 2, addressLimit: 2)
        _ = table.add(1, from: "a")
        _ = table.add(2, from: "b")
        #expect(table.add(3, from: "c") == .admitted(evicting: 1))
        table.remove(1)
        #expect(table.add(4, from: "d") == .admitted(evicting: 2))
    }

    @Test("a connection that serves a request is not closed to make room")
    func busy() {
        var table = ConnectionTable<Int>(limit: 2, addressLimit: 2)
        _ = table.add(1, from: "a")
        _ = table.add(2, from: "b")
        table.markBusy(1)
        #expect(table.add(3, from: "c") == .admitted(evicting: 2))
        table.markBusy(3)
        #expect(table.add(4, from: "d") == .admitted(evicting: nil))
    }

    @Test("a connection that has served a request is idle from then on, not from its beginning")
    func idleAgain() {
        var table = ConnectionTable<Int>(limit: 2, addressLimit: 2)
        _ = table.add(1, from: "a")
        _ = table.add(2, from: "b")
        table.markBusy(1)
        table.markIdle(1)
        #expect(table.add(3, from: "c") == .admitted(evicting: 2))
    }

    @Test("a connection is chosen to make room once, also when it has not closed yet")
    func once() {
        var table = ConnectionTable<Int>(limit: 1, addressLimit: 9)
        _ = table.add(1, from: "a")
        #expect(table.add(2, from: "a") == .admitted(evicting: 1))
        #expect(table.add(3, from: "a") == .admitted(evicting: 2))
    }

    @Test("the order of idle connections survives any number of requests on them")
    func manyRequests() {
        var table = ConnectionTable<Int>(limit: 2, addressLimit: 2)
        _ = table.add(1, from: "a")
        _ = table.add(2, from: "b")
        for _ in 0..<1000 {
            table.markBusy(1)
            table.markIdle(1)
        }
        #expect(table.add(3, from: "c") == .admitted(evicting: 2))
    }
}
