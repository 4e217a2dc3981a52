package import Domain

/// The sealed text of a progress report.
extension JobEnvelope {
    /// Seals the text of a progress report. Throws `CryptographyError`.
    package static func seal(
        _ progress: JobProgress, of job: JobID, in workspace: WorkspaceID, with key: WorkspaceKey
    ) throws -> SealedProgress {
        SealedProgress(
            percent: progress.percent,
            sealedText: try self.seal(
                Array(progress.text.utf8), purpose: "progress", workspace: workspace, job: job, with: key),
            time: progress.time)
    }

    /// Returns the progress of a job, opened; nil when there is none. A text that cannot be opened is empty, because it must
    /// not hide the job that it belongs to. Throws the errors of `WorkspaceKeyring.key(id:of:)` but `unreadable`.
    package static func progress(
        of job: JobRecord, in workspace: WorkspaceID, keys: WorkspaceKeyring
    ) async throws -> JobProgress? {
        guard let progress = job.progress else { return nil }
        var text: [UInt8] = []
        do {
            text = try await self.open(
                progress.sealedText, purpose: "progress", workspace: workspace, job: job.id, keys: keys)
        } catch let error as JobQueueError where error.code == .unreadable {
            // Another build or another writer stored it; the next report replaces it.
        }
        return JobProgress(
            percent: progress.percent, text: String(decoding: text, as: UTF8.self), time: progress.time)
    }
}
