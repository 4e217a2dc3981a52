/// An entry delivered to this node, still sealed, with the lease under which it can be completed.
package struct Delivery: Hashable, Sendable {
    package let workspace: WorkspaceID
    /// The job ID stored next to the sealed envelope; nil if the entry has none or it is malformed.
    package let jobID: JobID?
    package let entry: EntryReference
    package let envelope: [UInt8]
    /// The number of earlier runs that ended because the node died.
    package let crashes: Int
    /// The number of earlier runs that failed.
    package let failures: Int
    /// True when an earlier incarnation of this node held the job; a process that it started may still be running.
    package let isRecovered: Bool
    /// True when another node is the home of the workspace by now. What still runs here goes on, the rest goes back to the
    /// queue.
    package var isElsewhere = false

    /// Takes the parts as given; does not open the envelope.
    package init(
        workspace: WorkspaceID, jobID: JobID?, entry: EntryReference, envelope: [UInt8], crashes: Int, failures: Int,
        isRecovered: Bool
    ) {
        self.workspace = workspace
        self.jobID = jobID
        self.entry = entry
        self.envelope = envelope
        self.crashes = crashes
        self.failures = failures
        self.isRecovered = isRecovered
    }
}
