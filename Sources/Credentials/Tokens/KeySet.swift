internal import Cryptography
internal import Domain

/// The keys of an issuer (RFC 7517) that may check signatures here.
package struct KeySet: Sendable {
    /// By the bytes of their ids: canonically equivalent texts are different ids.
    private let keys: [[UInt8]: [SignatureKey]]

    /// Bytes and keys that a set may have: a few keys are a few kilobytes.
    package static let sizeLimit = 256 * 1024
    private static let countLimit = 64

    package static let empty = KeySet(keys: [:])

    private init(keys: [[UInt8]: [SignatureKey]]) { self.keys = keys }

    /// Reads a set. Keys for another use, of an unknown kind, too weak or private are skipped, as the standard asks (§5).
    /// Throws `CredentialsError` for a malformed set.
    package init(_ bytes: [UInt8]) throws(CredentialsError) {
        guard bytes.count <= Self.sizeLimit else {
            throw CredentialsError(
                code: .malformedDocument,
                message: "the key set has \(bytes.count) bytes, expected at most \(Self.sizeLimit)")
        }
        let value: JSONValue
        do throws(DomainError) { value = try JSONParser.parse(bytes, depthLimit: 8) } catch {
            throw CredentialsError(code: .malformedDocument, message: "the key set is not JSON", underlying: error)
        }
        try self.init(value)
    }

    private init(_ value: JSONValue) throws(CredentialsError) {
        guard let list = value["keys"]?.array else {
            throw CredentialsError(
                code: .malformedDocument, message: "the key set is refused: expected an object with a list 'keys'")
        }
        guard list.count <= Self.countLimit else {
            throw CredentialsError(
                code: .malformedDocument,
                message: "the key set has \(list.count) keys, expected at most \(Self.countLimit)")
        }
        var keys: [[UInt8]: [SignatureKey]] = [:]
        for item in list {
            guard let id = item["kid"]?.string, !id.isEmpty, let key = Self.key(item) else { continue }
            keys[Array(id.utf8), default: []].append(key)
        }
        self.keys = keys
    }

    /// The one key of this id for this algorithm; nil when there is none, and when there are several.
    func key(_ id: String, for algorithm: SignatureKey.Algorithm) -> SignatureKey? {
        let fitting = self.keys[Array(id.utf8)]?.filter { $0.algorithm == algorithm } ?? []
        return fitting.count == 1 ? fitting[0] : nil
    }

    /// Whether a key of this id is in the set.
    func knows(_ id: String) -> Bool { self.keys[Array(id.utf8)] != nil }

    /// The number of usable keys.
    package var count: Int { self.keys.values.reduce(0) { $0 + $1.count } }

    private static func key(_ item: JSONValue) -> SignatureKey? {
        // A key with a private part was published by mistake: every reader can sign with it.
        guard item["d"] == nil, item["k"] == nil, item["p"] == nil, item["q"] == nil else { return nil }
        if let use = item["use"], use != "sig" { return nil }
        if let operations = item["key_ops"] {
            guard let list = operations.array, list.contains("verify") else { return nil }
        }
        func bytes(_ name: String) -> [UInt8]? {
            item[name]?.string.flatMap { Base64URL.bytes(of: Array($0.utf8)) }
        }
        let key: SignatureKey?
        switch (item["kty"]?.string, item["crv"]?.string) {
        case ("RSA", nil):
            guard let modulus = bytes("n"), let exponent = bytes("e") else { return nil }
            key = .rsa(modulus: modulus, exponent: exponent)
        case ("EC", "P-256"):
            guard let x = bytes("x"), let y = bytes("y") else { return nil }
            key = .p256(x: x, y: y)
        case ("OKP", "Ed25519"):
            guard let x = bytes("x") else { return nil }
            key = .ed25519(x)
        default: return nil
        }
        guard let key else { return nil }
        if let algorithm = item["alg"] {
            // "Ed25519" is the name that RFC 9864 gives to EdDSA with that curve.
            let isNamed =
                algorithm.string == key.algorithm.rawValue || (key.algorithm == .edDSA && algorithm == "Ed25519")
            guard isNamed else { return nil }
        }
        return key
    }
}
