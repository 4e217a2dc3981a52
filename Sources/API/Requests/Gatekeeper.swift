internal import Jobs
internal import Audit
internal import CoreMetrics
internal import Credentials
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import Policy
internal import Redaction
internal import Synchronization

/// Decides who comes in, before anything is done for them, and writes down what became of every request.
struct Gatekeeper: Sendable {
    let services: APIServices

    private static let targetLimit = 2048

    /// Paths that anybody may ask for.
    static let publicPaths: Set<String> = [
        "/.well-known/security.txt", "/.well-known/oauth-protected-resource", "/openapi.json",
    ]

    private var configuration: APIConfiguration { self.services.configuration }

    // MARK: - Before

    func record(for head: HTTPRequest) -> RequestRecord {
        let path = Printable.text(head.path ?? "", limit: 80).prefix { $0 != "?" }
        return RequestRecord(
            id: Self.usable(head.headerFields[.requestID]) ?? self.services.freshID(),
            traceparent: Self.traceparent(head.headerFields[.traceparent]) ?? "",
            line: "\(Printable.text(head.method.rawValue, limit: 16)) \(CredentialMask.masked(String(path)))",
            startedAt: .now)
    }

    /// Throws a `Problem` for a request that must not come in; the principal, or nil where none is asked for.
    func admit(_ head: HTTPRequest, peer: SocketAddress?, _ record: RequestRecord) async throws -> Principal? {
        let address: IPAddress?
        do { address = try self.clientAddress(head, peer) } catch {
            record.note { $0.address = IPAddress(peer)?.description ?? "local" }
            throw error
        }
        record.note { $0.address = address?.description ?? "local" }
        // First of all, so that nothing that is refused below is free.
        try await self.limit("a:\(address?.network ?? "local")", self.configuration.addressRate, record)
        try self.checkForm(head)
        try self.checkHost(head)
        try self.checkOrigin(head)
        if let address, !self.configuration.clients.isEmpty,
            !self.configuration.clients.contains(where: { $0.contains(address) })
        {
            throw Problem(.forbidden, "requests from this address are not accepted", rule: "address")
        }
        let path = String((head.path ?? "").prefix { $0 != "?" })
        if Self.publicPaths.contains(path) || head.method == .options { return nil }
        let principal = try await self.principal(of: head, from: address)
        record.note { $0.principal = principal }
        try await self.limit("w:\(principal.workspace)", self.configuration.workspaceRate, record)
        return principal
    }

    /// Counts what could not be read as a request.
    func limitAddress(of peer: SocketAddress?, _ record: RequestRecord) async throws {
        let address = IPAddress(peer)
        record.note { $0.address = address?.description ?? "local" }
        try await self.limit("a:\(address?.network ?? "local")", self.configuration.addressRate, record)
    }

    private func checkForm(_ head: HTTPRequest) throws {
        let path = head.path ?? ""
        guard path.utf8.count <= Self.targetLimit else {
            throw Problem(.malformed, "the request's target has more than \(Self.targetLimit) bytes")
        }
        let plain = path.prefix { $0 != "?" }
        // No route has a character that would need escaping, and nothing is ever resolved: one spelling for each path.
        guard plain.hasPrefix("/"),
            plain.utf8.allSatisfy({ Self.isPathByte($0) }), !plain.contains("//"), !plain.contains("/."),
            plain.count == 1 || !plain.hasSuffix("/"), !path.contains("#")
        else {
            guard Self.publicPaths.contains(String(plain)) else {
                throw Problem(.malformed, "the path is not plain: expected letters, digits, '-', '_', '.' and '/'")
            }
            return
        }
        for name in [HTTPField.Name.authorization, .contentType, .contentLength, .origin, .requestID]
        where head.headerFields[values: name].count > 1 {
            throw Problem(.malformed, "the header '\(name.rawName)' is there twice")
        }
    }

    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "/"):
            true
        default: false
        }
    }

    /// A page on the web can make a browser ask loopback under a name of its own (DNS rebinding); the name shows it.
    private func checkHost(_ head: HTTPRequest) throws {
        guard let authority = head.authority, !authority.isEmpty, head.headerFields[values: .host].isEmpty else {
            throw Problem(.malformed, "the request must have one Host header")
        }
        guard !self.configuration.hosts.isEmpty else {
            guard !Self.hostName(authority).isEmpty else {
                throw Problem(.malformed, "the Host header must be a name, and a port where there is one")
            }
            return
        }
        // Texts that only look alike are equal to `==`, so only plain ones are compared.
        guard authority.utf8.allSatisfy({ $0 < 0x80 }), self.configuration.hosts.contains(Self.hostName(authority))
        else {
            throw Problem(
                .misdirected, "this server is not called '\(Printable.text(authority, limit: 100))'", rule: "host")
        }
    }

    /// The name of `name`, `name:port`, `[address]` or `[address]:port`; empty for anything else.
    static func hostName(_ authority: String) -> String {
        var rest = authority[...]
        var name = rest.prefix { $0 != ":" }
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return "" }
            name = rest[...end]
        }
        rest = rest[name.endIndex...]
        guard !rest.isEmpty else { return name.lowercased() }
        let port = rest.dropFirst()
        guard rest.first == ":", (1...5).contains(port.count), port.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return "" }
        return name.lowercased()
    }

    private func checkOrigin(_ head: HTTPRequest) throws {
        guard let origin = head.headerFields[.origin] else { return }
        guard self.configuration.allows(origin: origin) else {
            throw Problem(
                .forbidden, "pages of '\(Printable.text(origin, limit: 100))' may not call this API", rule: "origin")
        }
    }

    private func principal(of head: HTTPRequest, from address: IPAddress?) async throws -> Principal {
        guard let header = head.headerFields[.authorization] else {
            throw self.unauthenticated("a credential is needed: expected 'Authorization: Bearer …'", rule: "credential")
        }
        let parts = header.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].lowercased() == "bearer", header.utf8.count <= 20 * 1024 else {
            throw self.unauthenticated("the credential must be given as 'Authorization: Bearer …'", rule: "credential")
        }
        switch await self.services.authenticator.authenticate(parts[1], from: address?.network ?? "local") {
        case .accepted(let principal): return principal
        case .refused(let reason):
            throw self.unauthenticated("the credential is not accepted", rule: reason, error: "invalid_token")
        case .busy:
            throw Problem(
                .rateLimited, "too many credentials are being checked; try again in a moment", rule: "hashing",
                headers: [(.retryAfter, "1")])
        case .unavailable(let reason):
            throw Problem(
                .unavailable, "credentials cannot be checked now; try again in a moment", rule: reason,
                headers: [(.retryAfter, "2")])
        }
    }

    private func unauthenticated(_ detail: String, rule: String, error: String? = nil) -> Problem {
        var challenge = "Bearer realm=\"orchestra\""
        if let error { challenge += ", error=\"\(error)\"" }
        if let url = self.configuration.publicURL {
            challenge += ", resource_metadata=\"\(url)/.well-known/oauth-protected-resource\""
        }
        return Problem(.unauthenticated, detail, rule: rule, headers: [(.wwwAuthenticate, challenge)])
    }

    private func limit(_ name: String, _ rate: APIConfiguration.Rate, _ record: RequestRecord) async throws {
        let verdict: RateVerdict
        do { verdict = try await self.services.limiter.take(name, rate) } catch {
            throw Problem(
                .unavailable, "limits cannot be checked now; try again in a moment", rule: "limits",
                headers: [(.retryAfter, "2")])
        }
        record.note { $0.verdict = verdict }
        guard verdict.isAllowed else {
            self.services.refusals.increment()
            throw Problem(
                .rateLimited, "more than \(verdict.limit) requests in \(verdict.period) s; try again later",
                rule: name.hasPrefix("a:") ? "rate:address" : "rate:workspace",
                headers: [(.retryAfter, String(max(1, verdict.reset)))])
        }
    }

    /// The client's address; nil on a Unix socket. What a header says counts only from a proxy that is trusted, and of
    /// what it says the last that is no such proxy.
    private func clientAddress(_ head: HTTPRequest, _ peer: SocketAddress?) throws -> IPAddress? {
        guard let direct = IPAddress(peer) else { return nil }
        let proxies = self.configuration.proxies
        guard proxies.contains(where: { $0.contains(direct) }) else { return direct }
        let forwarded = head.headerFields[values: .forwardedFor].joined(separator: ",")
        for part in forwarded.split(separator: ",").reversed() {
            let text = String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            guard let address = IPAddress(text) else {
                throw Problem(.malformed, "the proxy's X-Forwarded-For holds what is no address", rule: "proxy")
            }
            if !proxies.contains(where: { $0.contains(address) }) { return address }
        }
        return direct
    }

    private static func usable(_ text: String?) -> String? {
        guard let text, (1...64).contains(text.utf8.count),
            text.utf8.allSatisfy({ Self.isPathByte($0) && $0 != UInt8(ascii: "/") }),
            CredentialMask.masked(text) == text
        else { return nil }
        return text
    }

    /// `00-<32 digits>-<16 digits>-<2 digits>`, not all zero; anything else is ignored, as the standard asks.
    private static func traceparent(_ text: String?) -> String? {
        guard let text else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let lower = Set("0123456789abcdef")
        guard parts.count == 4, parts.map(\.count) == [2, 32, 16, 2], parts[0] == "00",
            parts.allSatisfy({ $0.allSatisfy(lower.contains) }), parts[1].contains(where: { $0 != "0" }),
            parts[2].contains(where: { $0 != "0" })
        else { return nil }
        return text
    }

    // MARK: - Deciding

    /// Throws unless the principal may do that in its workspace.
    func authorize(_ principal: Principal, _ operation: Operation, _ record: RequestRecord) throws {
        record.note { $0.operation = operation }
        switch self.services.policy.authorize(principal, operation, in: principal.workspace) {
        case .allow(let rule): record.note { $0.rule = rule }
        case .deny(let denial): throw Problem(.forbidden, denial.reason, rule: denial.rule)
        }
    }

    // MARK: - After

    /// Writes the request's row; throws a `Problem` when that cannot be done, and then nothing else may be answered.
    func conclude(_ record: RequestRecord, status: Int) async throws {
        let facts = record.facts
        var event = AuditEvent(
            kind: .request, workspace: facts.principal?.workspace, actor: facts.principal?.actor ?? "",
            action: facts.operation?.rawValue ?? record.line, jobID: facts.jobID, status: String(status),
            rule: facts.rule, duration: .now - record.startedAt, errorReason: facts.reason,
            paramsDigest: facts.paramsDigest, node: self.services.node, time: self.services.now())
        event.paramsPrefix = facts.paramsPrefix
        event.requestID = record.id
        event.address = facts.address
        do {
            try await self.services.store.appendAudit(event.encoded, of: facts.principal?.workspace)
        } catch {
            self.services.auditFailures.increment()
            throw Problem(
                .unavailable,
                "the audit trail cannot be written, so nothing is answered; ask again with the same request id",
                rule: "audit", headers: [(.retryAfter, "2")])
        }
    }
}

extension ContinuousClock.Instant {
    fileprivate static func - (left: Self, right: Self) -> Duration { right.duration(to: left) }
}

extension HTTPField.Name {
    private static func known(_ name: String) -> HTTPField.Name {
        // The names below are constants that are valid.
        HTTPField.Name(name) ?? .via
    }
    static let requestID = known("X-Request-ID")
    static let traceparent = known("traceparent")
    static let forwardedFor = known("X-Forwarded-For")
    static let host = known("Host")
    static let rateLimit = known("RateLimit")
    static let rateLimitPolicy = known("RateLimit-Policy")
    static let referrerPolicy = known("Referrer-Policy")
    static let lastEventID = known("Last-Event-ID")
}
