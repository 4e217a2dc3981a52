/// Why Redis could not be asked, or what it answered instead.
package struct RedisError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// A URL or option that cannot be used; nothing was tried.
        case configuration
        /// No connection could be made: nothing was sent.
        case unreachable
        /// Redis or its certificate was refused, or Redis refused the credentials: nothing was sent.
        case refused
        /// The connection ended after the command was sent; whether it ran is unknown.
        case connectionLost
        /// The deadline passed; whether the command ran is unknown, and the connection is replaced.
        case timeout
        /// The caller gave up; the command may still run, and the connection stays.
        case cancelled
        /// An error reply; `kind` is its first word (`NOGROUP`, `OOM`, `WRONGTYPE`, …).
        case server(kind: String)
        /// The reply does not follow the protocol, passes a bound, or has not the expected shape.
        case unexpectedReply
    }

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// Makes the typed error of an error reply such as `NOGROUP No such key …`.
    package static func server(_ text: String) -> RedisError {
        let kind = text.prefix { $0 != " " }
        return RedisError(code: .server(kind: String(kind)), message: "Redis answered: \(text)")
    }

    package var description: String { self.message }

    /// True when the function library is not loaded, so that the call had no effect.
    package var isFunctionMissing: Bool {
        if case .server = self.code { self.message.contains("Function not found") } else { false }
    }

    /// Error replies of a server that cannot serve now: loading, a script that runs too long, a replica or a
    /// cluster in between, a disk that is full, too few replicas.
    private static let passingKinds: Set<String> = [
        "LOADING", "BUSY", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS", "UNBLOCKED",
        "MOVED", "ASK",
    ]

    /// Error replies of a server that is not, or no longer, the one to ask: another connection leads to the right one.
    private static let misdirectedKinds: Set<String> = ["READONLY", "MOVED", "MASTERDOWN", "UNBLOCKED"]

    /// True when the connection leads to a server that somebody else has replaced.
    var isMisdirected: Bool {
        if case .server(let kind) = self.code { Self.misdirectedKinds.contains(kind) } else { false }
    }

    /// True when Redis is away or not ready to answer; a retry later may succeed.
    package var isOutage: Bool {
        switch self.code {
        case .unreachable, .connectionLost, .timeout: true
        case .server(let kind): Self.passingKinds.contains(kind)
        case .unexpectedReply: true  // the connection was given up; a new one may do better
        case .configuration, .refused, .cancelled: false
        }
    }
}
