import Foundation
import Testing

@testable import Agents

@Suite("ProcessEntry")
struct ProcessEntryTests {
    @Test("one process is read as it is among all; one that has ended is nil")
    func one() throws {
        let own = try #require(try ProcessEntry.one(getpid()))
        let among = try #require(try ProcessEntry.all().first { $0.pid == getpid() })
        #expect(own.parent == getppid() && own.user == geteuid() && !own.isDead)
        #expect(own.parent == among.parent && own.name == among.name && own.start == among.start)
        // The highest number that the kernel gives out is 4,194,304.
        #expect(try ProcessEntry.one(5_000_000) == nil)
    }
}
