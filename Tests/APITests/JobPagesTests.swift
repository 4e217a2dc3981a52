import Domain
import Testing

@testable import API
@testable import Jobs

@Suite("JobPages")
struct JobPagesTests {
    /// So many jobs, the newest first; every one whose number `rate` divides is an agent's.
    private static func jobs(_ count: Int, agentEach rate: Int) -> [JobRecord] {
        (1...count).map { number in
            JobRecord(
                id: JobID(milliseconds: UInt64(count - number), randomHigh: 0, randomLow: UInt64(number)),
                state: .running, action: number % rate == 0 ? "agent.run" : "queue.noop", startedAt: 0, finishedAt: 0,
                failures: 0, crashes: 0, node: "n1", reason: "", tags: [], progress: nil, sealedTerms: [],
                sealedResult: [])
        }
    }

    /// Reads jobs as the store does.
    private static func pages(of jobs: [JobRecord]) -> JobPages {
        JobPages(readSize: JobPages.filteredReadSize) { limit, after in
            let start = after.map { id in (jobs.firstIndex { $0.id == id } ?? jobs.count) + 1 } ?? 0
            return Array(jobs[min(start, jobs.count)...].prefix(limit))
        }
    }

    /// All that fit, page after page.
    private static func all(_ pages: JobPages, limit: Int) async throws -> (jobs: [JobRecord], pages: Int) {
        var (found, cursor, count): ([JobRecord], JobID?, Int) = ([], nil, 0)
        repeat {
            let page = try await pages.page(limit: limit, after: cursor) { $0.action == "agent.run" }
            found += page.jobs
            cursor = page.next
            count += 1
        } while cursor != nil
        return (found, count)
    }

    @Test("an agent behind thousands of younger jobs is on one of the pages")
    func old() async throws {
        let jobs = Self.jobs(5000, agentEach: 5000)
        let found = try await Self.all(Self.pages(of: jobs), limit: 50)
        #expect(found.jobs.map(\.id) == [try #require(jobs.last).id])
        #expect(found.pages > 1, "no page reads them all")
    }

    @Test("pages have no more than their limit, and together every job once", arguments: [1, 7, 50])
    func limit(limit: Int) async throws {
        let jobs = Self.jobs(100, agentEach: 2)
        let found = try await Self.all(Self.pages(of: jobs), limit: limit)
        #expect(found.jobs.map(\.id) == jobs.filter { $0.action == "agent.run" }.map(\.id))
        #expect(found.pages >= 50 / limit)
    }

    @Test("a read that comes back short is the end, and no other follows")
    func short() async throws {
        let jobs = Self.jobs(100, agentEach: 100)
        let found = try await Self.all(Self.pages(of: jobs), limit: 50)
        #expect(found.jobs.count == 1 && found.pages == 1)
    }

    @Test("where there are no jobs there is one empty page")
    func empty() async throws {
        let page = try await JobPages(readSize: 200) { _, _ in [] }.page(limit: 50, after: nil) { _ in true }
        #expect(page.jobs.isEmpty && page.next == nil)
    }
}
