/// Reads the first ClientHello of a tunnel from bytes in any segments and any records. The result does not depend on
/// either, and bytes that cannot be TLS are refused at the first wrong one. At most `limit` bytes are kept.
struct ClientHelloReader: Hashable, Sendable {
    /// The longest message, with its header. Post-quantum key shares need about 2 KB.
    static let limit = 16 * 1024
    /// The longest input before the message is complete: tiny records have more header than content.
    static let inputLimit = 6 * 16 * 1024

    private static let handshake: UInt8 = 22
    private var message: [UInt8] = []
    private var header: [UInt8] = []
    private var recordLeft = 0
    private var inputCount = 0

    /// Whether no byte has arrived.
    var isEmpty: Bool { self.inputCount == 0 }

    /// Takes bytes. Returns the message when it is complete; bytes after it are not looked at.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> ClientHello? {
        for byte in bytes {
            self.inputCount += 1
            guard self.inputCount <= Self.inputLimit else { throw Self.tooLarge }
            if self.recordLeft == 0 {
                try self.readHeader(byte)
            } else if let hello = try self.readContent(byte) {
                return hello
            }
        }
        return nil
    }

    private mutating func readHeader(_ byte: UInt8) throws(EgressRefusal) {
        self.header.append(byte)
        let isFirstRecord = self.message.isEmpty
        switch self.header.count {
        case 1 where byte != Self.handshake, 2 where byte != 3, 3 where byte > 4:
            guard isFirstRecord else { throw Self.malformed("a record of another kind interrupts the ClientHello") }
            throw EgressRefusal(.opaqueTunnel, "the first bytes in the tunnel are not TLS")
        case 5:
            self.recordLeft = self.header[3...].reduce(0) { $0 << 8 | Int($1) }
            guard (1...16_384).contains(self.recordLeft) else {
                throw Self.malformed("a TLS record has an invalid length")
            }
            self.header = []
        default: break
        }
    }

    private mutating func readContent(_ byte: UInt8) throws(EgressRefusal) -> ClientHello? {
        self.recordLeft -= 1
        self.message.append(byte)
        guard self.message.first == 1 else { throw Self.malformed("the first TLS message is not a ClientHello") }
        guard self.message.count >= 4 else { return nil }
        let length = self.message[1...3].reduce(0) { $0 << 8 | Int($1) }
        guard length + 4 <= Self.limit else { throw Self.tooLarge }
        guard self.message.count == length + 4 else { return nil }
        guard self.recordLeft == 0, let hello = ClientHello(self.message[4...]) else {
            throw Self.malformed("the ClientHello is malformed")
        }
        return hello
    }

    private static var tooLarge: EgressRefusal {
        EgressRefusal(.clientHelloTooLarge, "the ClientHello has more than \(Self.limit) bytes")
    }

    private static func malformed(_ problem: String) -> EgressRefusal { EgressRefusal(.malformedClientHello, problem) }
}
