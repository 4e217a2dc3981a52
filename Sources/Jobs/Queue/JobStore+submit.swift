package import Domain

extension JobStore {
    /// Returns the newest jobs of a workspace, or those with a tag, without their results.
    package func jobs(in workspace: WorkspaceID, limit: Int, tag: JobTag?) async throws -> [JobRecord] {
        try await self.jobs(in: workspace, limit: limit, tag: tag, after: nil)
    }

    /// Seals and stores jobs under their workspaces' keys. Returns one result per job, in order.
    ///
    /// When the queue no longer has a cached key, because Redis was emptied or replaced, the jobs concerned are sealed
    /// again with the stored key. Throws `JobQueueError`: `unavailable` also when the key changed again meanwhile; the jobs
    /// whose key was valid are stored then, and a repeated call returns them as duplicates.
    package func submit(_ submissions: [Submission], keys: WorkspaceKeyring) async throws -> [SubmissionResult] {
        var results = try await self.submit(try await Self.sealed(submissions, keys))
        let stale = results.indices.filter { results[$0] == .staleKey }
        guard !stale.isEmpty else { return results }
        for index in stale { keys.forget(submissions[index].job.workspace) }
        let again = try await self.submit(try await Self.sealed(stale.map { submissions[$0] }, keys))
        for (index, result) in zip(stale, again) {
            guard result != .staleKey else {
                throw JobQueueError(
                    code: .unavailable, message: "the keys in Redis changed twice during one submission; try again")
            }
            results[index] = result
        }
        return results
    }

    private static func sealed(
        _ submissions: [Submission], _ keys: WorkspaceKeyring
    ) async throws -> [SealedSubmission] {
        var sealed: [SealedSubmission] = []
        sealed.reserveCapacity(submissions.count)
        for submission in submissions {
            sealed.append(try submission.sealed(with: try await keys.currentKey(of: submission.job.workspace)))
        }
        return sealed
    }
}
