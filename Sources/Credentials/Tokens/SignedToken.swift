internal import Cryptography
internal import Domain

/// A token in compact form (RFC 7515 §7.1), read strictly; its signature is not checked yet.
struct SignedToken {
    let algorithm: SignatureKey.Algorithm
    let keyID: String
    let claims: JSONValue
    private let signed: [UInt8]
    private let signature: [UInt8]

    /// Four times what large tokens have.
    private static let sizeLimit = 16 * 1024
    private static let depthLimit = 8

    /// Headers that name keys or change how the rest is read. An issuer whose keys are known needs none of them, and each
    /// has been used in attacks (RFC 8725 §2, §3.10).
    private static let refusedHeaders: Set<String> = [
        "crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c",
    ]
    private static let kinds: Set<String> = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"]

    init(_ text: Substring) throws(TokenRefusal) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.sizeLimit else { throw TokenRefusal("size", "it has more than 16 KiB") }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw TokenRefusal("form", "it does not have three parts") }
        guard let header = Base64URL.bytes(of: parts[0]), let payload = Base64URL.bytes(of: parts[1]),
            let signature = Base64URL.bytes(of: parts[2])
        else { throw TokenRefusal("form", "its parts are not base 64") }
        guard !signature.isEmpty else { throw TokenRefusal("signature", "it is not signed") }
        (self.algorithm, self.keyID) = try Self.read(header)
        self.claims = try Self.object(payload)
        self.signature = signature
        self.signed = Array(bytes[..<(parts[0].count + 1 + parts[1].count)])
    }

    func isSigned(by key: SignatureKey) -> Bool {
        key.algorithm == self.algorithm && key.isValid(self.signature, for: self.signed)
    }

    private static func read(
        _ bytes: [UInt8]
    ) throws(TokenRefusal) -> (algorithm: SignatureKey.Algorithm, keyID: String) {
        let header = try self.object(bytes)
        guard let name = header["alg"]?.string, let algorithm = SignatureKey.Algorithm(rawValue: name) else {
            throw TokenRefusal("alg", "its algorithm is not supported")
        }
        for member in header.members ?? [] where self.refusedHeaders.contains(member.name) {
            throw TokenRefusal("header", "its header has a parameter that is not accepted")
        }
        if let type = header["typ"] {
            guard let text = type.string, self.kinds.contains(text.lowercased()) else {
                throw TokenRefusal("typ", "it is not an access token")
            }
        }
        guard header["cty"] == nil else { throw TokenRefusal("cty", "it holds another token") }
        guard let id = header["kid"]?.string, (1...256).contains(id.utf8.count) else {
            throw TokenRefusal("kid", "it names no key")
        }
        return (algorithm, id)
    }

    private static func object(_ bytes: [UInt8]) throws(TokenRefusal) -> JSONValue {
        let refusal = TokenRefusal("json", "a part of it is not a strict JSON object")
        let value: JSONValue
        do throws(DomainError) { value = try JSONParser.parse(bytes, depthLimit: self.depthLimit) } catch {
            throw refusal
        }
        guard value.members != nil else { throw refusal }
        return value
    }
}
