internal import Domain
package import Jobs

/// The completion writers of all lanes. Passes each completion to the writer of its workspace's lane.
package struct CompletionWriters: Sendable {
    private let writers: [CompletionWriter]

    /// `writers` are ordered by lane number; there is at least one.
    package init(_ writers: [CompletionWriter]) { self.writers = writers }

    /// Takes over a completion until it is written or refused, as `CompletionWriter.write`.
    package func write(_ completion: Completion, resolved: (@Sendable (_ isWritten: Bool) -> Void)? = nil) {
        let lane = Lane.of(completion.delivery.workspace, among: self.writers.count)
        self.writers[lane.number].write(completion, resolved: resolved)
    }
}
