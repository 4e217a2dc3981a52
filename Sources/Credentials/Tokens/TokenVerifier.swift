internal import Cryptography
internal import Domain

/// Checks the tokens of one issuer.
package struct TokenVerifier: Sendable {
    package let rules: TokenRules
    private let keys: any KeySource

    /// Takes the parts as given; fetches no keys yet.
    package init(rules: TokenRules, keys: any KeySource) {
        self.rules = rules
        self.keys = keys
    }

    /// Checks a token at `now` in seconds since the epoch; revocation is checked by the caller.
    package func verify(_ text: Substring, now: UInt64) async -> Authentication {
        let token: SignedToken
        do throws(TokenRefusal) {
            token = try SignedToken(text)
            guard self.rules.algorithms.contains(token.algorithm) else {
                throw TokenRefusal("alg", "its algorithm is not one of this issuer's")
            }
        } catch {
            return Self.refused(error)
        }
        let keys: KeySet
        switch await self.keys.keys(knowing: token.keyID) {
        case .success(let set): keys = set
        case .failure(let error): return .unavailable(reason: error.description)
        }
        do throws(TokenRefusal) {
            guard let key = keys.key(token.keyID, for: token.algorithm) else {
                throw TokenRefusal("kid", "the issuer has no such key for this algorithm")
            }
            guard token.isSigned(by: key) else { throw TokenRefusal("signature", "its signature is not valid") }
            return .accepted(try self.rules.principal(of: token.claims, now: now))
        } catch {
            return Self.refused(error)
        }
    }

    private static func refused(_ refusal: TokenRefusal) -> Authentication {
        .refused(reason: "token, \(refusal.rule): \(refusal.reason)")
    }
}
