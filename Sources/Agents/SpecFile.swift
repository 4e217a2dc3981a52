internal import CLinux
internal import Domain
internal import SystemPackage

/// A launch's specification as the standard input of a shim: a file in memory, which no directory shows.
///
/// Not a pipe: one whose reader ends early, or whose writer is cancelled, ends the writing process (swift-subprocess 1.0
/// traps on a pipe that it has not closed).
struct SpecFile: Sendable {
    let descriptor: FileDescriptor

    /// Throws `AgentError` when the memory or a descriptor cannot be had.
    init(_ bytes: [UInt8]) throws {
        let file = unsafe orc_memfd_with(bytes, bytes.count)
        guard file >= 0 else {
            throw AgentError(code: .launchFailed, message: "a launch's specification cannot be held: error \(-file)")
        }
        self.descriptor = FileDescriptor(rawValue: file)
    }

    /// To be called once its reader has started.
    func close() { try? self.descriptor.close() }
}
