internal import Domain
internal import Jobs

/// Walks a workspace's jobs, the newest first, and collects those that fit into pages.
struct JobPages: Sendable {
    struct Page: Sendable {
        let jobs: [JobRecord]
        /// Where the next page begins; nil when there are no more jobs.
        let next: JobID?
    }

    /// Reads at most so many jobs that are older than one.
    let read: @Sendable (_ limit: Int, _ after: JobID?) async throws -> [JobRecord]

    /// Jobs of one read, and reads of one page: a page that passes over many jobs ends early.
    private static let readSize = 200
    private static let readLimit = 10

    /// The next `limit` jobs at most that fit, older than `cursor`. Every job is on one of the pages, however many do
    /// not fit. Throws when the queue cannot be read.
    func page(limit: Int, after cursor: JobID?, where fits: (JobRecord) -> Bool) async throws -> Page {
        var (found, last): ([JobRecord], JobID?) = ([], cursor)
        for _ in 0..<Self.readLimit {
            let jobs = try await self.read(Self.readSize, last)
            // A read may come back short where records have expired; only an empty one is the end.
            guard !jobs.isEmpty else { return Page(jobs: found, next: nil) }
            for job in jobs {
                last = job.id
                if fits(job) { found.append(job) }
                if found.count == limit { return Page(jobs: found, next: last) }
            }
        }
        return Page(jobs: found, next: last)
    }
}
