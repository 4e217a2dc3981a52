import Cryptography
import Domain
import Foundation
import Logging

/// The last incarnation of the node with this state directory: the next is greater, also when the clock was set back.
struct IncarnationFile: Sendable {
    let path: String

    /// The incarnation of this process, stored before it is returned. Throws status 78 when the file cannot be read or
    /// written. The caller holds the lock of the state directory.
    func next(milliseconds: UInt64, logger: Logger) throws -> Incarnation {
        let random = try Digests.randomBytes(count: 2).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let value = Self.next(after: try self.last(logger), milliseconds: milliseconds, random: random)
        try Host.writePrivate(self.path, "\(value)\n")
        return Incarnation(value: value)
    }

    /// The time and two random bytes, or one more than the last incarnation when that is greater.
    static func next(after last: UInt64?, milliseconds: UInt64, random: UInt64) -> UInt64 {
        let fresh = milliseconds << 16 | (random & 0xffff)
        guard let last, last >= fresh else { return fresh }
        return last &+ 1
    }

    /// The number in the text of the file, nil when it is malformed.
    static func number(in text: String) -> UInt64? {
        let number = UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines))
        return number == .max ? nil : number
    }

    private func last(_ logger: Logger) throws -> UInt64? {
        guard Host.exists(self.path) else { return nil }
        do throws(CommandError) {
            let text = try InputFile.text(try InputFile.read(self.path, limit: 64), of: self.path)
            if let number = Self.number(in: text) { return number }
            // The node starts all the same: the clock alone decides then, as on a new machine.
            logger.warning("the file of the last incarnation is malformed", metadata: ["path": "\(self.path)"])
            return nil
        } catch {
            throw CommandError.configuration(error.message)
        }
    }
}
