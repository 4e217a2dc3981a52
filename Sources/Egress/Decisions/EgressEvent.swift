package import Domain

/// What the audit trail records of one connection. It never holds a query, a header value or a byte of a body.
package struct EgressEvent: Hashable, Sendable {
    /// When in a connection the event is made.
    package enum Phase: String, Hashable, Sendable {
        /// The decision, before the first byte goes to the server.
        case decided
        /// The end of a connection that was allowed.
        case ended
    }

    package var phase: Phase = .decided
    /// Nil when the request is allowed.
    package var reason: EgressReason?
    package var entry: EgressEntryID?
    /// Nil if the request could not be read so far.
    package var listener: EgressListenerKind?
    package var method: EgressMethod?
    package var target: EgressTarget?
    /// The normalized path without the query; nil in a tunnel.
    package var path: String?
    package var protocolKind: EgressProtocol?
    package var serverName: String?
    /// The address that was dialed.
    package var address: EgressAddress?
    package var credential: DefinitionName?
    /// The status that the caller received from the listener itself; nil if it sent none.
    package var status: Int?
    package var bytesFromCaller = 0
    package var bytesToCaller = 0

    /// Makes an event without any detail.
    package init() {}

    /// Whether the request is allowed.
    package var isAllowed: Bool { self.reason == nil }

    /// The fields of the audit trail, with those that the server knows: the caller, the generation of the rules, the time in
    /// milliseconds since 1970 and how long the connection has lasted.
    package func json(
        caller: EgressCaller, generation: UInt64, time: Int64, duration: Duration
    ) -> JSONValue {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        let (seconds, attoseconds) = duration.components
        return [
            "time": .integer(time), "workspace": .string(caller.workspace.name), "job": .string("\(caller.job)"),
            "launch": .integer(Int64(caller.launch)), "generation": .integer(Int64(clamping: generation)),
            "phase": .string(self.phase.rawValue), "decision": self.isAllowed ? "allow" : "deny",
            "reason": text(self.reason?.rawValue), "rule": text(self.entry?.text),
            "door": text(self.listener?.rawValue), "method": text(self.method?.rawValue),
            "scheme": self.listener == .http ? "http" : .null,
            "host": text(self.target?.host.description),
            "port": self.target.map { .integer(Int64($0.port)) } ?? .null, "path": text(self.path),
            "protocol": text(self.protocolKind?.rawValue), "sni": text(self.serverName),
            "address": text(self.address?.description), "credential": text(self.credential?.name),
            "status": self.status.map { .integer(Int64($0)) } ?? .null,
            "bytes_out": .integer(Int64(self.bytesFromCaller)), "bytes_in": .integer(Int64(self.bytesToCaller)),
            "duration_ms": .integer(seconds * 1000 + attoseconds / 1_000_000_000_000_000),
        ]
    }
}
