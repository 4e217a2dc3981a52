/// Tokens that are refused although their signatures hold.
package struct TokenDenial: Hashable, Sendable {
    package enum Target: Hashable, Sendable {
        /// One token, by its `jti`.
        case token(String)
        /// Everything of a subject that was issued before.
        case subject(String)
        /// Everything that was issued before.
        case everything
    }

    package let target: Target
    /// Seconds since the epoch: tokens issued before it are refused. Of no meaning for one token.
    package let issuedBefore: UInt64
    /// Seconds since the epoch: no token that it concerns lives longer.
    package let until: UInt64

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

/// All denials at one moment, arranged for looking up.
struct DenyList: Sendable {
    private var tokens: Set<String> = []
    private var subjects: [String: UInt64] = [:]
    private var everything: UInt64 = 0

    /// Those that still concern some token at `now`, in seconds since the epoch.
    init(_ denials: [TokenDenial] = [], now: UInt64 = 0) {
        for denial in denials where denial.until > now {
            switch denial.target {
            case .token(let id): self.tokens.insert(id)
            case .subject(let name): self.subjects[name] = max(self.subjects[name] ?? 0, denial.issuedBefore)
            case .everything: self.everything = max(self.everything, denial.issuedBefore)
            }
        }
    }

    func denies(id: String?, subject: String, issuedAt: UInt64) -> Bool {
        if let id, self.tokens.contains(id) { return true }
        return issuedAt < self.everything || issuedAt < self.subjects[subject] ?? 0
    }
}
