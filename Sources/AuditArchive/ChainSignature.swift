internal import Cryptography
internal import Domain

/// The signature with which an object ends. It covers the object's bytes up to the comma before it.
struct ChainSignature {
    let body: ArraySlice<UInt8>
    let bytes: [UInt8]

    /// Names what is signed, so that no signature over anything else fits.
    private static let context = Array("orchestra audit archive 1\n".utf8)

    static func message(_ body: some Sequence<UInt8>) -> [UInt8] { self.context + body }

    /// The signature at the end of an object; nil when it has none.
    init?(endOf line: ArraySlice<UInt8>) { self.init(line, name: ",\"signature\":\"", end: "\"}") }

    /// The proof at the end of the body of a row that introduces a key.
    init?(proofIn body: ArraySlice<UInt8>) { self.init(body, name: ",\"proof\":\"", end: "\"") }

    private init?(_ line: ArraySlice<UInt8>, name: String, end: String) {
        let size = name.utf8.count + 128 + end.utf8.count
        let tail = line.suffix(size)
        guard tail.count == size, tail.starts(with: name.utf8),
            tail.suffix(end.utf8.count).elementsEqual(end.utf8)
        else { return nil }
        let digits = tail.dropFirst(name.utf8.count).prefix(128)
        // One text for one signature: digits in upper case would be another.
        guard let bytes = Hexadecimal.bytes(of: String(decoding: digits, as: UTF8.self)),
            Hexadecimal.text(of: bytes).utf8.elementsEqual(digits)
        else { return nil }
        self.body = line.dropLast(size)
        self.bytes = bytes
    }

    func isValid(by key: SignatureKey) -> Bool { key.isValid(self.bytes, for: Self.message(self.body)) }
}
