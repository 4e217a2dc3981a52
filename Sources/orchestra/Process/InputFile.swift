import Foundation

/// Reads what the user names: a regular file, a named pipe, `/dev/fd/N`, or `-` for standard input.
enum InputFile {
    /// The bytes up to the end of the file. Waits for a pipe's writer. Throws when it cannot be opened or read, with the
    /// system's reason, and when there are more than `limit` bytes.
    static func read(_ path: String, limit: Int) throws(CommandError) -> [UInt8] {
        guard path != "-" else { return try self.read(STDIN_FILENO, "standard input", limit) }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw self.error(path, Host.reason(errno)) }
        defer { close(descriptor) }
        return try self.read(descriptor, path, limit)
    }

    /// The bytes as text; throws when they are not UTF-8.
    static func text(_ bytes: [UInt8], of path: String) throws(CommandError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw self.error(path, "it is not UTF-8 text")
        }
        return text
    }

    private static func read(_ descriptor: Int32, _ name: String, _ limit: Int) throws(CommandError) -> [UInt8] {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Foundation.read(descriptor, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw self.error(name, Host.reason(errno)) }
            guard count > 0 else { return bytes }
            bytes += part.prefix(count)
            guard bytes.count <= limit else { throw self.error(name, "it has more than \(limit) bytes") }
        }
    }

    private static func error(_ path: String, _ reason: String) -> CommandError {
        CommandError(.usage, "the file \(path) cannot be read: \(reason)")
    }

    /// A JSON document without the white space around it, which is none of its content.
    static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x0a, 0x0d, 0x09].contains(byte) }
        let start = bytes.drop(while: isSpace)
        return Array(start.reversed().drop(while: isSpace).reversed())
    }
}
