/// A word that names a secret, as `password` does in `DB_PASSWORD=…` and `"dbPassword": "…"`.
struct SecretName: Sendable {
    /// What must stand before the word.
    enum Left: Sendable {
        case anything
        /// Nothing that makes it part of another word.
        case boundary
        /// A word that makes the key a secret one: `api`, `access`, `private`.
        case qualifier
        /// `?` or `&` of a URL.
        case query
    }

    /// How the value differs from a harmless one.
    enum Kind: Sendable {
        case password
        case token
        case header
        case cookie
        /// Only a value that looks random.
        case random
        /// A value after a space, in quotes or not: SQL and Redis' configuration.
        case statement
    }

    let base: String
    let label: String
    var left = Left.anything
    var kind = Kind.token

    static let all = [
        SecretName(base: "password", label: "password", kind: .password),
        SecretName(base: "passwd", label: "password", kind: .password),
        SecretName(base: "passphrase", label: "password", kind: .password),
        SecretName(base: "passcode", label: "password", kind: .password),
        SecretName(base: "pass", label: "password", left: .boundary, kind: .password),
        SecretName(base: "pwd", label: "password", left: .boundary, kind: .password),
        SecretName(base: "psk", label: "password", left: .boundary, kind: .password),
        SecretName(base: "secret", label: "secret"),
        SecretName(base: "token", label: "token"),
        SecretName(base: "apikey", label: "key"),
        SecretName(base: "accesskey", label: "key"),
        SecretName(base: "secretkey", label: "key"),
        SecretName(base: "privatekey", label: "key"),
        SecretName(base: "accountkey", label: "key"),
        SecretName(base: "key", label: "key", left: .qualifier),
        SecretName(base: "key", label: "key", left: .query, kind: .random),
        SecretName(base: "credential", label: "credential", kind: .random),
        SecretName(base: "credentials", label: "credential", kind: .random),
        SecretName(base: "jwt", label: "token", left: .boundary),
        SecretName(base: "otp", label: "token", left: .boundary),
        SecretName(base: "auth", label: "credential", left: .boundary, kind: .random),
        SecretName(base: "sig", label: "signature", left: .query, kind: .random),
        SecretName(base: "signature", label: "signature", left: .query, kind: .random),
        SecretName(base: "sessid", label: "session"),
        SecretName(base: "sessionid", label: "session", left: .anything, kind: .random),
        SecretName(base: "authorization", label: "authorization", left: .boundary, kind: .header),
        SecretName(base: "cookie", label: "cookie", left: .boundary, kind: .cookie),
        SecretName(base: "identified by", label: "password", left: .boundary, kind: .statement),
        SecretName(base: "requirepass", label: "password", left: .boundary, kind: .statement),
        SecretName(base: "masterauth", label: "password", left: .boundary, kind: .statement),
    ]

    /// Words before `key` that make it a secret.
    static let qualifiers = [
        "api", "access", "secret", "private", "auth", "encryption", "encrypt", "signing", "account", "shared", "master",
        "license", "deploy", "service", "ssh", "hmac", "storage", "admin", "app", "application", "client", "consumer",
        "write", "ingest", "root", "bot", "session", "webhook", "subscription", "functions", "aes", "cipher", "crypto",
        "unseal", "recovery", "stripe", "openai", "anthropic", "gemini", "google", "authorization",
    ].map { Array($0.utf8) }

    /// Words before `token` that make it no secret: places in lists, and counts.
    static let harmlessBefore = ["page", "next", "continuation", "max", "sync", "cancellation", "resume", "num", "per"]
        .map { Array($0.utf8) }

    /// Last words of names that are a property of a secret, not the secret.
    static let properties: Set<NameWord> = [
        "id", "ids", "name", "names", "type", "types", "kind", "count", "file", "files", "path", "paths", "dir", "url",
        "uri", "expiry", "expires", "expiration", "in", "at", "on", "ttl", "age", "lifetime", "length", "len", "size",
        "limit", "limits", "max", "min", "policy", "field", "fields", "hint", "label", "placeholder", "prefix",
        "suffix",
        "version", "algorithm", "alg", "format", "header", "status", "state", "valid", "required", "enabled",
        "disabled",
        "index", "usage", "budget", "source", "provider", "store", "manager", "service", "endpoint", "reset", "change",
        "changed", "rotation", "class", "error", "errors", "created", "updated", "arn", "ref", "reference",
        "fingerprint", "regex", "pattern", "strength", "generator", "validator", "input", "bucket", "scope", "scopes",
        "issuer", "audience", "number", "num", "column", "table", "description", "title", "message", "callback",
        "handler", "function", "exists", "present", "set", "auth", "authentication", "mode", "method", "cost", "less",
        "env", "var", "variable", "param", "parameter", "permission", "permissions", "position", "offset",
    ]

    /// Last words of names that are the secret all the same.
    static let values: Set<NameWord> = [
        "key", "token", "secret", "value", "val", "text", "plain", "plaintext", "raw", "prod", "production", "dev",
        "development", "test", "testing", "staging", "stage", "live", "old", "new", "current", "previous", "primary",
        "secondary", "default", "admin", "root", "user", "db", "database", "b64", "base", "hex", "encoded", "string",
        "str", "data", "access", "api", "app", "client", "main", "confirm", "confirmation", "repeat", "again", "bot",
        "github", "gitlab", "npm", "slack", "aws", "ro", "rw", "read", "write", "readonly",
    ]
}
