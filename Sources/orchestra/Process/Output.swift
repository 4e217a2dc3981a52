import Foundation

/// Writes that cannot end the process by a trap: `FileHandle.write` traps when a disk is full or a pipe is closed.
enum Output {
    /// Writes all bytes; returns 0, or the number of the system's error. Waits while a pipe is full.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : EIO }
            rest = rest.dropFirst(count)
        }
        return 0
    }

    /// The sentence for an output that failed with this error, nil when its reader closed the pipe: that is how
    /// `| head` ends a command.
    static func message(for error: Int32) -> String? {
        error == EPIPE ? nil : "the output cannot be written: \(Host.reason(error))"
    }

    /// Ends the command because its output failed, with status 74.
    static func end(_ error: Int32) -> Never {
        if let text = self.message(for: error) { _ = self.write(Array("error: \(text)\n".utf8), to: STDERR_FILENO) }
        exit(CommandError.Status.output.rawValue)
    }
}

/// Prints a line at once, also into a pipe. Ends the command with status 74 when the line cannot be written.
func show(_ text: String) {
    showBytes(Array((text + "\n").utf8))
}

/// Writes bytes as they are, as `show` does a line.
func showBytes(_ bytes: [UInt8]) {
    let error = Output.write(bytes, to: STDOUT_FILENO)
    if error != 0 { Output.end(error) }
}

/// Prints a remark on standard error, apart from the output.
func note(_ text: String) { _ = Output.write(Array("note: \(text)\n".utf8), to: STDERR_FILENO) }
