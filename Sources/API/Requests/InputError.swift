internal import Domain
internal import Jobs

/// What a client sent that cannot be what it must be.
struct InputError: Error {
    let message: String
}

/// Values as clients write them. The modules' own readers are used; only what they refuse here is the client's fault.
enum Input {
    static func action(_ text: String) throws -> ActionName {
        try self.read(text) { () throws(DomainError) in try ActionName(text) }
    }
    static func tag(_ text: String) throws -> JobTag {
        try self.read(text) { () throws(DomainError) in try JobTag(text) }
    }
    static func job(_ text: String) throws -> JobID {
        try self.read(text) { () throws(DomainError) in try JobID(text) }
    }
    static func name(_ text: String) throws -> DefinitionName {
        try self.read(text) { () throws(DomainError) in try DefinitionName(text) }
    }
    static func requestID(_ text: String) throws -> RequestID {
        try self.read(text) { () throws(DomainError) in try RequestID(text) }
    }

    private static func read<Value>(
        _ text: String, _ body: () throws(DomainError) -> Value
    ) throws(InputError) -> Value {
        // It would be a name like any other, and stand in rows and lists for ever.
        guard Masking.masked(text) == text else {
            throw InputError(message: "a credential stands where a name or an id should")
        }
        do throws(DomainError) { return try body() } catch { throw InputError(message: error.message) }
    }
}

/// Takes out of a text for answers, logs and the audit trail what looks like a credential: somebody put it where it
/// does not belong.
enum Masking {
    static func masked(_ text: String) -> String {
        var result = text
        for (start, isPart) in [
            ("relay_sk_", { (byte: UInt8) in Self.isWord(byte) }),
            ("eyJ", { (byte: UInt8) in Self.isWord(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") }),
        ] {
            var rest = Substring(result)
            var cleaned = ""
            while let range = rest.firstRange(of: start) {
                cleaned += rest[..<range.lowerBound] + "<credential>"
                let tail = rest[range.upperBound...].utf8.drop(while: isPart)
                rest = Substring(tail)
            }
            result = cleaned + rest
        }
        return result
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
