internal import Domain
package import Logging

/// Writes one JSON object per line: `ts` (RFC 3339, UTC, milliseconds), `level`, `msg`, `component`, then
/// the metadata under its own dotted names. Newlines and control characters are escaped, a line is cut
/// at 8 KiB. Secrets in texts are redacted, and values whose key names one are replaced as a whole: `redis.password`,
/// `api_key`, but not `key.id`.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let component: String
    private let rules: RedactionRules
    private let now: @Sendable () -> String
    private let write: @Sendable ([UInt8]) -> Void

    private static let valueLimit = 2048
    private static let lineLimit = 8192
    private static let secretWords: Set<String> = [
        "password", "secret", "token", "key", "authorization", "cookie",
    ]
    /// Last words of keys that name a property of a secret, not the secret.
    private static let harmlessWords: Set<String> = ["id", "ids", "kind", "count", "file", "expiry"]

    /// `rules` say what is redacted, `now` gives the time stamp, `write` takes a whole line with its newline.
    package init(
        component: String, level: Logger.Level, rules: RedactionRules = .standard,
        now: @escaping @Sendable () -> String,
        write: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.component = component
        self.logLevel = level
        self.rules = rules
        self.now = now
        self.write = write
    }

    /// A value of the handler's own metadata.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    /// Writes the event as one line.
    package func log(event: LogEvent) {
        var members = [
            JSONMember("ts", .string(self.now())),
            JSONMember("level", .string(event.level.rawValue)),
            JSONMember("msg", .string(Redactor.redacted("\(event.message)", self.rules))),
            JSONMember("component", .string(self.component)),
        ]
        let merged = self.metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in merged.sorted(by: { $0.key < $1.key }) {
            members.append(JSONMember(key, .string(self.shown(key: key, "\(value)"))))
        }
        if let error = event.error {
            members.append(JSONMember("error", .string(self.shown(key: "error", "\(error)"))))
        }
        var line = JSONValue.object(members).bytes
        if line.count > Self.lineLimit {
            line = JSONValue.object(Array(members.prefix(4)) + [JSONMember("cut", .bool(true))]).bytes
        }
        line.append(0x0a)
        self.write(line)
    }

    /// True for a key one of whose words names a secret, unless its last word names a property.
    static func namesSecret(_ key: String) -> Bool {
        let words = key.lowercased().split(whereSeparator: { ".-_".contains($0) }).map(String.init)
        guard let last = words.last, !self.harmlessWords.contains(last) else { return false }
        return !self.secretWords.isDisjoint(with: words)
    }

    private func shown(key: String, _ text: String) -> String {
        if Self.namesSecret(key) { return "[redacted:secret]" }
        let text = Redactor.redacted(text, self.rules)
        return text.utf8.count > Self.valueLimit ? String(text.prefix(Self.valueLimit)) + "…" : text
    }
}
