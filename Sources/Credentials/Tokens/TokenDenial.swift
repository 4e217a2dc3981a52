/// Tokens that are refused although their signatures are valid.
package struct TokenDenial: Hashable, Sendable {
    /// The tokens that a denial refuses.
    package enum Target: Hashable, Sendable {
        /// One token, by its `jti`.
        case token(String)
        /// All tokens of a subject that were issued before `issuedBefore`.
        case subject(String)
        /// All tokens that were issued before `issuedBefore`.
        case everything
    }

    package let target: Target
    /// Seconds since the epoch; tokens issued before it are refused. Unused for one token.
    package let issuedBefore: UInt64
    /// Seconds since the epoch, after the expiry of every token that it refuses.
    package let until: UInt64

    /// Takes the parts as given; both times are seconds since the epoch.
    package init(target: Target, issuedBefore: UInt64, until: UInt64) {
        self.target = target
        self.issuedBefore = issuedBefore
        self.until = until
    }

    var field: String {
        switch self.target {
        case .token(let id): "jti:\(id)"
        case .subject(let subject): "sub:\(subject)"
        case .everything: "all"
        }
    }

    var value: String { "\(self.issuedBefore):\(self.until)" }

    init?(field: String, value: String) {
        let numbers = value.split(separator: ":").compactMap { UInt64($0) }
        guard numbers.count == 2 else { return nil }
        let target: Target
        if field == "all" {
            target = .everything
        } else if field.hasPrefix("jti:") {
            target = .token(String(field.dropFirst(4)))
        } else if field.hasPrefix("sub:") {
            target = .subject(String(field.dropFirst(4)))
        } else {
            return nil
        }
        self.init(target: target, issuedBefore: numbers[0], until: numbers[1])
    }
}
