internal import Domain
package import Logging

/// Writes one JSON object per line: `ts` (RFC 3339, UTC, milliseconds), `level`, `msg`, `component`, then
/// the metadata under its own dotted names. Newlines and control characters are escaped, a line is cut
/// at 8 KiB, and values whose key names a secret are replaced: `redis.password`, `api_key`, but not `key.id`.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let component: String
    private let now: @Sendable () -> String
    private let write: @Sendable ([UInt8]) -> Void

    private static let valueLimit = 2048
    private static let lineLimit = 8192
    private static let secretWords: Set<String> = [
        "password", "secret", "token", "key", "authorization", "cookie",
    ]
    /// Last words of keys that name a property of a secret, not the secret.
    private static let harmlessWords: Set<String> = ["id", "ids", "kind", "count", "file", "expiry"]

    /// `now` gives the time stamp, `write` takes a whole line with its newline.
    package init(
        component: String, level: Logger.Level, now: @escaping @Sendable () -> String,
        write: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.component = component
        self.logLevel = level
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
            JSONMember("msg", .string(CredentialMask.masked("\(event.message)"))),
            JSONMember("component", .string(self.component)),
        ]
        let merged = self.metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in merged.sorted(by: { $0.key < $1.key }) {
            members.append(JSONMember(key, .string(Self.shown(key: key, "\(value)"))))
        }
        if let error = event.error {
            members.append(JSONMember("error", .string(Self.shown(key: "error", "\(error)"))))
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

    private static func shown(key: String, _ text: String) -> String {
        if self.namesSecret(key) { return "<secret>" }
        let text = CredentialMask.masked(text)
        return text.utf8.count > self.valueLimit ? String(text.prefix(self.valueLimit)) + "…" : text
    }
}
