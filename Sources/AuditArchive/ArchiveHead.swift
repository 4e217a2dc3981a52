internal import Cryptography
internal import Domain

/// A signed statement of where a chain ends: how many rows it has and the digest of the last one.
///
/// The newest one lies next to the segments. A copy that is kept elsewhere is an anchor: it proves later that no row before it
/// was removed or changed, also not at the end of the chain.
package struct ArchiveHead: Hashable, Sendable {
    package let node: String
    /// The digest of the chain's first row, which distinguishes the chain from all others.
    package let origin: [UInt8]
    /// The number of the segment that has the last row.
    package let segment: Int
    /// The sequence number of the last row.
    package let sequence: UInt64
    /// The digest of the last row.
    package let digest: [UInt8]
    /// When it was signed, in milliseconds since the epoch by the node's clock.
    package let time: UInt64
    /// The fingerprint of the key that signed it.
    package let key: String
    /// The line, without its newline.
    package let line: [UInt8]

    /// States the end of a chain and signs it.
    init(
        node: String, origin: [UInt8], segment: Int, sequence: UInt64, digest: [UInt8], time: UInt64, key: ChainKey
    ) throws(CryptographyError) {
        self.node = node
        self.origin = origin
        self.segment = segment
        self.sequence = sequence
        self.digest = digest
        self.time = time
        self.key = key.fingerprint
        var writer = JSONWriter()
        writer.raw("{\"kind\":\"head\",\"node\":")
        writer.write(text: node)
        writer.raw(
            ",\"origin\":\"\(Hexadecimal.text(of: origin))\",\"segment\":\(segment),\"seq\":\(sequence),\"hash\":\"\(Hexadecimal.text(of: digest))\",\"time\":\(time),\"key\":\"\(key.fingerprint)\""
        )
        self.line = try key.signed(String(decoding: writer.bytes, as: UTF8.self))
    }

    /// Reads a statement, with or without its newline; nil when it is malformed. Checks no signature.
    package init?(_ bytes: [UInt8]) {
        let line = bytes.last == 0x0a ? Array(bytes.dropLast()) : bytes
        guard let document = JSONValue(ifValid: line), document["kind"]?.string == "head",
            let node = document["node"]?.string, let origin = Self.digest(document["origin"]),
            let segment = document["segment"]?.integer, segment > 0,
            let sequence = document["seq"]?.integer, sequence > 0, let digest = Self.digest(document["hash"]),
            let time = document["time"]?.integer, time >= 0, let key = document["key"]?.string
        else { return nil }
        self.node = node
        self.origin = origin
        self.segment = Int(segment)
        self.sequence = UInt64(sequence)
        self.digest = digest
        self.time = UInt64(time)
        self.key = key
        self.line = line
    }

    private static func digest(_ value: JSONValue?) -> [UInt8]? {
        guard let bytes = value?.string.flatMap(Hexadecimal.bytes), bytes.count == 32 else { return nil }
        return bytes
    }

    func isSigned(by key: SignatureKey) -> Bool {
        ChainSignature(endOf: self.line[...])?.isValid(by: key) ?? false
    }
}
