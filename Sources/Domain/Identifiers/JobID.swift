/// The ID of a job: a UUID of version 7, which contains the time of submission.
///
/// The record of the job is in a bucket named by that time, so the ID alone is enough to find it (RFC 9562 §5.7).
package struct JobID: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUIDBytes

    /// Takes a UUID as given; does not check its version.
    package init(uuid: UUIDBytes) { self.uuid = uuid }

    /// Makes an ID from `milliseconds` since the epoch, by the clock of Redis, and 74 random bits.
    package init(milliseconds: UInt64, randomHigh: UInt64, randomLow: UInt64) {
        let high = (milliseconds & 0xffff_ffff_ffff) << 16 | 0x7000 | (randomHigh & 0x0fff)
        let low = 0x8000_0000_0000_0000 | (randomLow & 0x3fff_ffff_ffff_ffff)
        self.uuid = UUIDBytes(high: high, low: low)
    }

    /// Parses the text form of a version 7 UUID. Throws `DomainError.invalidIdentifier` for anything else.
    package init(_ text: String) throws(DomainError) {
        guard let uuid = UUIDBytes(text: text), uuid.high >> 12 & 0xf == 7, uuid.low >> 62 == 2 else {
            throw .invalidIdentifier(kind: "job id", text: text, expected: "a UUID of version 7, as submit prints it")
        }
        self.uuid = uuid
    }

    /// Milliseconds since the epoch at which the job was submitted.
    package var milliseconds: UInt64 { self.uuid.high >> 16 }

    package var description: String { self.uuid.text }
}
