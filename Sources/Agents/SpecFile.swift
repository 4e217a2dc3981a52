internal import CLinux
internal import Domain
internal import Sandboxing
internal import SystemPackage

/// A launch's specification as the standard input of a shim: a file in memory, which no directory shows.
///
/// Not a pipe: one whose reader ends early, or whose writer is canceled, ends the writing process (swift-subprocess 1.0
/// traps on a pipe that it has not closed).
struct SpecFile: Sendable {
    let descriptor: FileDescriptor

    /// Throws `AgentError.hostUnavailable` when there is no memory or no descriptor for it.
    init(_ bytes: [UInt8]) throws {
        let file = unsafe orc_memfd_with(bytes, bytes.count)
        guard file >= 0 else {
            throw AgentError(
                code: .hostUnavailable,
                message: "no file in memory can be had for a launch: \(HostFileError.reason(-file))")
        }
        self.descriptor = FileDescriptor(rawValue: file)
    }

    /// To be called once its reader has started.
    func close() {
        // A file in memory is closed also when close(2) reports an error; there is nothing to lose in it.
        try? self.descriptor.close()
    }
}
