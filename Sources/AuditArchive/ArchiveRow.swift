internal import Cryptography
internal import Domain

/// One line of a segment, as it is written and read.
///
/// All rows begin with their sequence number, the digest of the row before and their kind, in this order and without spaces.
/// A reader therefore finds these without parsing the event.
struct ArchiveRow {
    enum Kind: String, CaseIterable {
        /// An event of the trail.
        case event
        /// A signature over all rows before.
        case checkpoint
        /// A public key that signs from here on.
        case key
    }

    let sequence: UInt64
    /// 64 hexadecimal digits.
    let previous: ArraySlice<UInt8>
    let kind: Kind
    /// What follows the kind and its comma, up to the end of the line.
    let rest: ArraySlice<UInt8>

    private static let start = Array("{\"seq\":".utf8)
    private static let previousName = Array(",\"prev\":\"".utf8)
    private static let kindName = Array("\",\"kind\":\"".utf8)
    private static let kinds = Kind.allCases.map { ($0, Array("\($0.rawValue)\",".utf8)) }
    private static let payloadNames = [Array(",\"event\":".utf8), Array(",\"bytes\":\"".utf8)]

    /// Reads the beginning of a line; nil when it is malformed.
    init?(_ line: ArraySlice<UInt8>) {
        guard line.last == UInt8(ascii: "}"), line.starts(with: Self.start) else { return nil }
        var rest = line.dropFirst(Self.start.count)
        var sequence: UInt64 = 0
        var digits = 0
        while let byte = rest.first, byte >= 0x30, byte <= 0x39, digits < 19 {
            guard digits > 0 || byte != 0x30 else { return nil }
            sequence = sequence * 10 + UInt64(byte - 0x30)
            digits += 1
            rest = rest.dropFirst()
        }
        guard digits > 0, rest.starts(with: Self.previousName) else { return nil }
        rest = rest.dropFirst(Self.previousName.count)
        let previous = rest.prefix(64)
        rest = rest.dropFirst(64)
        guard previous.count == 64, rest.starts(with: Self.kindName) else { return nil }
        rest = rest.dropFirst(Self.kindName.count)
        guard let kind = Self.kinds.first(where: { rest.starts(with: $0.1) }) else { return nil }
        self.sequence = sequence
        self.previous = previous
        self.kind = kind.0
        self.rest = rest.dropFirst(kind.1.count)
    }

    /// Returns whether the row states this digest of 32 bytes as that of the row before.
    func follows(_ digest: [UInt8]) -> Bool {
        var at = self.previous.startIndex
        for byte in digest {
            guard self.previous[at] == Self.digit(byte >> 4), self.previous[at + 1] == Self.digit(byte & 15) else {
                return false
            }
            at += 2
        }
        return true
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// The place of an event, as `ArchivedEvent.place`; nil for other kinds and for malformed rows.
    var place: String? {
        guard self.kind == .event else { return nil }
        for index in self.rest.indices where self.rest[index] == UInt8(ascii: ",") {
            let tail = self.rest[index...]
            if Self.payloadNames.contains(where: { tail.starts(with: $0) }) {
                return String(decoding: self.rest[..<index], as: UTF8.self)
            }
        }
        return nil
    }

    // MARK: - Writing

    /// The beginning of every row.
    static func beginning(_ kind: Kind, sequence: UInt64, previous: [UInt8]) -> String {
        "{\"seq\":\(sequence),\"prev\":\"\(Hexadecimal.text(of: previous))\",\"kind\":\"\(kind.rawValue)\","
    }

    /// A row with an event. What is not one line of JSON is kept as hexadecimal digits.
    static func event(_ event: ArchivedEvent, sequence: UInt64, previous: [UInt8]) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(event.bytes.count + 256)
        line += Array((self.beginning(.event, sequence: sequence, previous: previous) + event.place).utf8)
        if self.isOneLineOfJSON(event.bytes) {
            line += self.payloadNames[0]
            line += event.bytes
        } else {
            line += self.payloadNames[1]
            line += Array((Hexadecimal.text(of: event.bytes) + "\"").utf8)
        }
        line.append(UInt8(ascii: "}"))
        return line
    }

    private static func isOneLineOfJSON(_ bytes: [UInt8]) -> Bool {
        guard !bytes.contains(0x0a), !bytes.contains(0x0d) else { return false }
        do throws(DomainError) {
            _ = try JSONParser.parse(bytes)
            return true
        } catch {
            return false
        }
    }

    /// A checkpoint; throws `CryptographyError` when it cannot be signed.
    static func checkpoint(
        sequence: UInt64, previous: [UInt8], time: UInt64, key: ChainKey
    ) throws(CryptographyError) -> [UInt8] {
        let body =
            self.beginning(.checkpoint, sequence: sequence, previous: previous)
            + "\"time\":\(time),\"key\":\"\(key.fingerprint)\""
        return try key.signed(body)
    }

    /// A row that introduces a key, which signs it itself as a proof; `before` is the key that signed until now, nil at the
    /// beginning of a chain. Throws `CryptographyError` when it cannot be signed.
    static func key(
        _ key: ChainKey, after before: ChainKey?, node: String, sequence: UInt64, previous: [UInt8], time: UInt64
    ) throws(CryptographyError) -> [UInt8] {
        var writer = JSONWriter()
        writer.raw(self.beginning(.key, sequence: sequence, previous: previous) + "\"node\":")
        writer.write(text: node)
        writer.raw(
            ",\"time\":\(time),\"key\":\"\(Hexadecimal.text(of: key.publicKey))\",\"signer\":\"\((before ?? key).fingerprint)\""
        )
        let body = String(decoding: writer.bytes, as: UTF8.self)
        let proof = Hexadecimal.text(of: try key.signature(of: body))
        return try (before ?? key).signed(body + ",\"proof\":\"\(proof)\"")
    }
}
