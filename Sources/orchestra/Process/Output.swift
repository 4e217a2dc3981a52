import Foundation

/// Writes that cannot crash the process: `FileHandle.write` traps when a disk is full or a pipe is closed.
enum Output {
    /// Writes all of it; false when that is not possible.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

/// Prints a line at once, also into a pipe. When nobody reads it, or the disk is full, the command ends.
func show(_ text: String) {
    guard Output.write(Array((text + "\n").utf8), to: STDOUT_FILENO) else { exit(74) }  // EX_IOERR
}

/// Tells the person something beside the output.
func note(_ text: String) { _ = Output.write(Array("note: \(text)\n".utf8), to: STDERR_FILENO) }

/// A log that loses lines rather than the node when its disk is full; how many were lost is said afterwards.
final class LogSink: Sendable {
    private let descriptor: Int32
    private let lost = LostLines()

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Opens a file that is only appended to, 0600.
    init(path: String) throws {
        self.descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard self.descriptor >= 0 else {
            throw CommandError.configuration("the log file \(path) cannot be opened")
        }
    }

    func write(_ line: [UInt8]) {
        guard Output.write(line, to: self.descriptor) else { return self.lost.add() }
        let count = self.lost.take()
        guard count > 0 else { return }
        let note = "{\"level\":\"warning\",\"msg\":\"log lines were lost\",\"count\":\(count)}\n"
        _ = Output.write(Array(note.utf8), to: self.descriptor)
    }
}
