/// All denials at one time, arranged for look-up.
struct DenyList: Sendable {
    private var tokens: Set<String> = []
    private var subjects: [String: UInt64] = [:]
    private var everything: UInt64 = 0

    /// The denials that are not over at `now`, in seconds since the epoch.
    init(_ denials: [TokenDenial] = [], now: UInt64 = 0) {
        for denial in denials where denial.until > now {
            switch denial.target {
            case .token(let id): self.tokens.insert(id)
            case .subject(let name): self.subjects[name] = max(self.subjects[name] ?? 0, denial.issuedBefore)
            case .everything: self.everything = max(self.everything, denial.issuedBefore)
            }
        }
    }

    /// Whether a token is refused; `issuedAt` is its `iat` in seconds since the epoch.
    func denies(id: String?, subject: String, issuedAt: UInt64) -> Bool {
        if let id, self.tokens.contains(id) { return true }
        return issuedAt < self.everything || issuedAt < self.subjects[subject] ?? 0
    }
}
