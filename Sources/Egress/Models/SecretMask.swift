/// Replaces a secret in a stream of bytes by asterisks, one for each byte, so that lengths stay as they were stated. Bytes
/// are passed on at once, but for an end that may be the beginning of the secret.
struct SecretMask: Hashable, Sendable {
    /// Shorter secrets occur by chance.
    static let shortest = 8

    private let secret: [UInt8]
    /// The end of what has arrived that is also a beginning of the secret.
    private var held: [UInt8] = []
    /// How often it was found.
    private(set) var count = 0

    /// Nil for a secret that is too short to be recognized.
    init?(_ secret: String) {
        guard secret.utf8.count >= Self.shortest else { return nil }
        self.secret = Array(secret.utf8)
    }

    /// Takes bytes and returns those that may be passed on.
    mutating func pass(_ bytes: [UInt8]) -> [UInt8] {
        let first = self.secret[0]
        guard !self.held.isEmpty || bytes.contains(first) else { return bytes }
        var text = self.held + bytes
        self.held = []
        var index = 0
        while let start = text[index...].firstIndex(of: first) {
            let rest = text[start...].prefix(self.secret.count)
            guard rest.elementsEqual(self.secret.prefix(rest.count)) else {
                index = start + 1
                continue
            }
            guard rest.count == self.secret.count else {
                self.held = Array(rest)
                return Array(text[..<start])
            }
            for place in rest.indices { text[place] = UInt8(ascii: "*") }
            self.count += 1
            index = rest.endIndex
        }
        return text
    }

    /// The bytes that were held, at the end of the stream.
    mutating func end() -> [UInt8] {
        defer { self.held = [] }
        return self.held
    }
}
