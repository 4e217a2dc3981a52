package import Domain

/// A sandbox could not be planned; nothing was started.
package typealias SandboxError = CodedError<SandboxErrorCode>

package enum SandboxErrorCode: Hashable, Sendable {
    /// The profile or the launch asks for a higher tier than this host gives.
    case tierTooLow
    /// A program, range of users or control group that the tier needs is missing on this host.
    case missingPrerequisite
    /// The file of assigned users cannot be read, written or locked.
    case unusableFile
    /// All users that this one may give away are taken.
    case exhausted
    /// A path or argument cannot be used.
    case invalidArgument
}
