import Domain
import Foundation
import SystemPackage

/// Files that a person names for a command to read: regular files, pipes, process substitutions, or `-` for standard input.
enum InputFile {
    /// Throws status 64 when the file cannot be opened or read, with the system's reason, or has more than `limit` bytes.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        do {
            guard path != "-" else { return try self.read(.standardInput, limit, path) }
            let file = try FileDescriptor.open(FilePath(path), .readOnly)
            return try file.closeAfter { try self.read(file, limit, path) }
        } catch let error as Errno {
            throw CommandError(.usage, "the file \(Printable.text(path)) cannot be read: \(error)")
        }
    }

    private static func read(_ file: FileDescriptor, _ limit: Int, _ path: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = try unsafe chunk.withUnsafeMutableBytes { unsafe try file.read(into: $0) }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= limit else {
                throw CommandError(
                    .usage, "the file \(Printable.text(path)) has more than \(limit) bytes; expected at most that many")
            }
        }
    }

    /// The document without the white space around it, which is none of its content.
    static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x0a, 0x0d, 0x09].contains(byte) }
        let start = bytes.drop(while: isSpace)
        return Array(start.reversed().drop(while: isSpace).reversed())
    }
}
