/// Finds what looks like a credential in a text that should have none, such as a name, a path or a reason, and replaces it
/// before the text reaches an answer, a log line or the audit trail.
package enum CredentialMask {
    private struct Family {
        let prefix: String
        /// Characters after the prefix from which on it is taken for a credential.
        let minimum: Int
        /// Bytes beyond letters, digits and `_` that belong to it.
        let extra: [UInt8]

        init(_ prefix: String, minimum: Int = 8, extra: String = "") {
            self.prefix = prefix
            self.minimum = minimum
            self.extra = Array(extra.utf8)
        }

        func contains(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: self.extra.contains(byte)
            }
        }
    }

    /// Prefixes as their issuers document them.
    private static let families = [
        Family("relay_sk_", minimum: 0), Family("eyJ", minimum: 0, extra: ".-"),
        Family("sk-ant-", extra: "-"), Family("sk-proj-", extra: "-"), Family("github_pat_"), Family("ghp_"),
        Family("gho_"), Family("ghu_"), Family("ghs_"), Family("ghr_"), Family("glpat-", extra: "-"),
        Family("AKIA", minimum: 12), Family("ASIA", minimum: 12), Family("AIza", minimum: 20, extra: "-"),
        Family("xoxb-", extra: "-"), Family("xoxp-", extra: "-"), Family("xapp-", extra: "-"),
        Family("npm_", minimum: 20), Family("pypi-", minimum: 20, extra: "-"), Family("hf_", minimum: 20),
    ]

    /// The text with each credential replaced by `<credential>`; text without one is unchanged.
    package static func masked(_ text: String) -> String {
        var result = text
        for family in self.families where result.contains(family.prefix) {
            var rest = Substring(result)
            var cleaned = ""
            while let range = rest.firstRange(of: family.prefix) {
                let tail = rest[range.upperBound...].utf8
                let after = tail.drop(while: family.contains)
                let length = tail.distance(from: tail.startIndex, to: after.startIndex)
                cleaned += rest[..<range.lowerBound]
                cleaned += length >= family.minimum ? "<credential>" : String(rest[range.lowerBound..<after.startIndex])
                rest = rest[after.startIndex...]
            }
            result = cleaned + rest
        }
        return result
    }
}
