/// Describes why a run failed.
package struct Failure: Hashable, Sendable {
    package let reason: String
    package let isRetryable: Bool
    /// JSON with the last output, sealed in the same way as a result; empty if there is none.
    package let detail: [UInt8]
    /// True when the run was killed from outside after it began, so that its progress is unknown.
    package let isCutOff: Bool

    /// Takes the parts as given; does not seal `detail`.
    package init(reason: String, isRetryable: Bool, detail: [UInt8] = [], isCutOff: Bool = false) {
        self.reason = reason
        self.isRetryable = isRetryable
        self.detail = detail
        self.isCutOff = isCutOff
    }
}
