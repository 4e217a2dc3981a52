package import Domain
package import ModelUsage

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
    /// The status that the caller received: the listener's own, or for a call of a model the provider's; nil if none.
    package var status: Int?
    /// What a call of a model asks for, and in the end what it used.
    package var model: Model?
    package var bytesFromCaller = 0
    package var bytesToCaller = 0

    /// A call of a model in an event.
    package struct Model: Hashable, Sendable {
        package let provider: ModelProvider
        /// The model that was requested; nil if none.
        package var name: String?
        /// Whether the provider charges for it.
        package var isCharged = false
        /// The input tokens to reserve, and the most output tokens.
        package var estimatedInput: UInt64 = 0
        package var maximumOutput: UInt64 = 0
        /// The service tier that changes the price; nil for the list price.
        package var tier: String?
        /// Whether the caller sent a credential of its own, which was removed.
        package var hasForeignCredential = false
        /// The reservation of the call's budget, as the admission has named it; nil if there is none.
        package var reservation: String?
        /// What it used; nil before its end, and when nothing was sent.
        package var usage: TokenUsage?
        /// How long it waited for the provider's limit.
        package var waitedSeconds: UInt64 = 0
        /// Whether the answer had our credential in it, which was masked.
        package var hasReflectedSecret = false

        /// Takes the provider; everything else is empty.
        package init(provider: ModelProvider) { self.provider = provider }

        var json: JSONValue {
            func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
            func number(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
            let usage: JSONValue? = self.usage.map { usage in
                [
                    "input": number(usage.input), "output": number(usage.output),
                    "cache_read": number(usage.cacheRead), "cache_write": number(usage.cacheWrite),
                    "cache_write_hour": number(usage.cacheWriteHour), "model": text(usage.model),
                    "estimated": .bool(usage.isEstimated),
                ]
            }
            return [
                "provider": .string(self.provider.rawValue), "name": text(self.name), "charged": .bool(self.isCharged),
                "input_estimate": number(self.estimatedInput), "output_limit": number(self.maximumOutput),
                "tier": text(self.tier), "foreign_credential": .bool(self.hasForeignCredential),
                "reservation": text(self.reservation), "usage": usage ?? .null,
                "waited_seconds": number(self.waitedSeconds), "reflected_secret": .bool(self.hasReflectedSecret),
            ]
        }
    }

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
            "launch": .integer(Int64(caller.launch)), "definition": text(caller.definition?.name),
            "generation": .integer(Int64(clamping: generation)),
            "phase": .string(self.phase.rawValue), "decision": self.isAllowed ? "allow" : "deny",
            "reason": text(self.reason?.rawValue), "rule": text(self.entry?.text),
            "door": text(self.listener?.rawValue), "method": text(self.method?.rawValue),
            "scheme": self.listener == .http ? "http" : .null,
            "host": text(self.target?.host.description),
            "port": self.target.map { .integer(Int64($0.port)) } ?? .null, "path": text(self.path),
            "protocol": text(self.protocolKind?.rawValue), "sni": text(self.serverName),
            "address": text(self.address?.description), "credential": text(self.credential?.name),
            "model": self.model?.json ?? .null,
            "status": self.status.map { .integer(Int64($0)) } ?? .null,
            "bytes_out": .integer(Int64(self.bytesFromCaller)), "bytes_in": .integer(Int64(self.bytesToCaller)),
            "duration_ms": .integer(seconds * 1000 + attoseconds / 1_000_000_000_000_000),
        ]
    }
}
