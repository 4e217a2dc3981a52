/// The reply to one step of comparing what is stored.
package struct QueueComparison: Hashable, Sendable {
    /// Entries and delayed jobs that this step found missing.
    package let missing: Int
    /// Whether the next step is to follow at once.
    package let hasNextStep: Bool
    /// Audit entries that this lane ever had. It is smaller than before when Redis was emptied or went back.
    package let auditEntries: Int
    /// Jobs to end by `lose`.
    package let lost: [LostJob]

    /// Takes the parts as given.
    package init(missing: Int, hasNextStep: Bool, auditEntries: Int, lost: [LostJob]) {
        self.missing = missing
        self.hasNextStep = hasNextStep
        self.auditEntries = auditEntries
        self.lost = lost
    }
}
