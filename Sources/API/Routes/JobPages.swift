internal import Domain
internal import Jobs

/// Walks a workspace's jobs, the newest first, and collects those that match into pages.
struct JobPages: Sendable {
    struct Page: Sendable {
        let jobs: [JobRecord]
        /// Where the next page begins; nil when there are no more jobs.
        let next: JobID?
    }

    /// Jobs of one read.
    let readSize: Int
    /// Reads so many jobs that are older than one; fewer only where there are no more.
    let read: @Sendable (_ limit: Int, _ after: JobID?) async throws -> [JobRecord]

    /// For pages that pass over jobs.
    static let filteredReadSize = 200
    /// Reads of one page: a page that passes over many jobs ends early.
    private static let readLimit = 10

    /// The next `limit` jobs at most that match, older than `cursor`. Every matching job is on one of the pages, however
    /// many do not match. Throws when the queue cannot be read.
    func page(limit: Int, after cursor: JobID?, where matches: (JobRecord) -> Bool) async throws -> Page {
        var (found, last): ([JobRecord], JobID?) = ([], cursor)
        for _ in 0..<Self.readLimit {
            let jobs = try await self.read(self.readSize, last)
            for job in jobs {
                last = job.id
                if matches(job) { found.append(job) }
                if found.count == limit { return Page(jobs: found, next: last) }
            }
            if jobs.count < self.readSize { return Page(jobs: found, next: nil) }
        }
        return Page(jobs: found, next: last)
    }
}
