package import Domain

/// A command could not be sent to Redis, or Redis answered with an error.
package typealias RedisError = CodedError<RedisErrorCode>

/// Why a command failed, and what is known of its effect.
package enum RedisErrorCode: Hashable, Sendable {
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
    /// The reply does not follow the protocol, passes a bound, or is malformed.
    case unexpectedReply

    /// Error replies of a server that cannot serve now: loading, a script that runs too long, a replica or a
    /// cluster in between, a disk that is full, too few replicas.
    private static let outageKinds: Set<String> = [
        "LOADING", "BUSY", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS", "UNBLOCKED",
        "MOVED", "ASK",
    ]

    /// Error replies of a server that another one has replaced; a new connection leads to the right one.
    private static let misdirectedKinds: Set<String> = ["READONLY", "MOVED", "MASTERDOWN", "UNBLOCKED"]

    var isMisdirected: Bool {
        if case .server(let kind) = self { Self.misdirectedKinds.contains(kind) } else { false }
    }

    var isOutage: Bool {
        switch self {
        case .unreachable, .connectionLost, .timeout: true
        case .server(let kind): Self.outageKinds.contains(kind)
        case .unexpectedReply: true  // the connection was given up; a new one may do better
        case .configuration, .refused, .cancelled: false
        }
    }
}

extension CodedError where ErrorCode == RedisErrorCode {
    /// Makes the typed error of an error reply such as `NOGROUP No such key …`.
    package static func server(_ text: String) -> RedisError {
        let kind = text.prefix { $0 != " " }
        return RedisError(code: .server(kind: String(kind)), message: "Redis answered: \(text)")
    }

    /// True when the function library is not loaded, so that the call had no effect.
    package var isFunctionMissing: Bool {
        if case .server = self.code { self.message.contains("Function not found") } else { false }
    }

    /// True when the connection leads to a server that another one has replaced.
    var isMisdirected: Bool { self.code.isMisdirected }

    /// True when Redis is away or not ready to answer; a retry later may succeed.
    package var isOutage: Bool { self.code.isOutage }
}
