package import ShimProtocol

/// A command that was ended because its task was canceled.
package struct CommandInterruption: Error, Hashable, Sendable {
    /// How it ended, with its outputs up to then.
    package let record: ExitRecord
}
