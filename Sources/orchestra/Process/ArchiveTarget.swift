import Domain
import Foundation
import SystemPackage

/// Where an archive goes: standard output, or a file that appears under its name once it is whole.
struct ArchiveTarget: Sendable {
    private let descriptor: Int32
    private let path: String?

    /// A name of this process, so that two commands never write one file.
    private static func draft(_ path: String) -> String { "\(path).\(getpid()).part" }

    /// Opens it, with mode 0600; nil is standard output. Throws status 64 for a terminal, and 74 when the file cannot be
    /// made.
    init(_ path: String?) throws {
        self.path = path
        guard let path else {
            guard isatty(STDOUT_FILENO) == 0 else {
                throw CommandError(.usage, "standard output is a terminal; expected a pipe or a file, or --file")
            }
            self.descriptor = STDOUT_FILENO
            return
        }
        self.descriptor = unsafe open(
            Self.draft(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard self.descriptor >= 0 else {
            throw CommandError(
                .output, "the file \(Printable.text(Self.draft(path))) cannot be made: \(Host.reason(errno))")
        }
    }

    /// Throws status 74 when the bytes cannot be written.
    func write(_ bytes: [UInt8]) async throws {
        do { try await DescriptorPump().write(bytes, to: self.descriptor) } catch let error as Errno {
            throw CommandError(.output, "the archive cannot be written: \(Host.reason(error.rawValue))")
        }
    }

    /// Gives a file its name. Throws status 74 when that fails.
    func finish() throws {
        guard let path = self.path else { return }
        guard fsync(self.descriptor) == 0, unsafe rename(Self.draft(path), path) == 0 else {
            throw CommandError(.output, "the file \(Printable.text(path)) cannot be written: \(Host.reason(errno))")
        }
    }

    /// Closes a file, and removes what has no name yet.
    func abandon() {
        guard let path = self.path else { return }
        close(self.descriptor)
        _ = unsafe unlink(Self.draft(path))
    }
}
