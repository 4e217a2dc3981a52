internal import Audit
internal import CoreMetrics
internal import Credentials
internal import Domain
internal import HTTPTypes
internal import Jobs
internal import NIOCore
internal import Policy
internal import Redaction

/// Admits requests or refuses them before anything is done for them, and records the outcome of each.
struct Gatekeeper: Sendable {
    let services: APIServices
    let anonymous: AnonymousAudit

    /// Paths that need no credential.
    static let publicPaths: Set<String> = [
        "/.well-known/security.txt", "/.well-known/oauth-protected-resource", "/openapi.json",
    ]

    private var configuration: APIConfiguration { self.services.configuration }

    // MARK: - Admission

    /// The record of a request that has just arrived.
    func record(for head: HTTPRequest) -> RequestRecord {
        let path = Printable.text(head.path ?? "", limit: 80).prefix { $0 != "?" }
        return RequestRecord(
            id: RequestForm.usableID(head.headerFields[.requestID]) ?? self.services.freshID(),
            traceparent: RequestForm.traceparent(head.headerFields[.traceparent]) ?? "",
            line: "\(Printable.text(head.method.rawValue, limit: 16)) \(Redactor.redacted(String(path)))",
            startedAt: .now)
    }

    /// The principal of a request, nil where none is needed. Throws a `Problem` for a request that is not admitted.
    func admit(_ head: HTTPRequest, peer: SocketAddress?, _ record: RequestRecord) async throws -> Principal? {
        let address: IPAddress?
        do { address = try self.clientAddress(head, peer) } catch {
            Self.note(IPAddress(peer), record)
            throw error
        }
        Self.note(address, record)
        // Before every other check, so that each refusal counts.
        try await self.limit("a:\(record.facts.network)", self.configuration.addressRate, record)
        try RequestForm.check(head, publicPaths: Self.publicPaths)
        try RequestForm.checkHost(head, allowed: self.configuration.hosts)
        try self.checkOrigin(head)
        if let address, !self.configuration.clients.isEmpty,
            !self.configuration.clients.contains(where: { $0.contains(address) })
        {
            throw Problem(.forbidden, "requests from this address are not accepted", rule: "address")
        }
        let path = String((head.path ?? "").prefix { $0 != "?" })
        if Self.publicPaths.contains(path) || head.method == .options { return nil }
        let principal = try await self.principal(of: head, from: record.facts.network)
        record.note { $0.principal = principal }
        try await self.limit("w:\(principal.workspace)", self.configuration.workspaceRate, record)
        return principal
    }

    /// Counts bytes that could not be read as a request against their address' rate; throws a `Problem` above it.
    func limitAddress(of peer: SocketAddress?, _ record: RequestRecord) async throws {
        Self.note(IPAddress(peer), record)
        try await self.limit("a:\(record.facts.network)", self.configuration.addressRate, record)
    }

    private static func note(_ address: IPAddress?, _ record: RequestRecord) {
        record.note {
            $0.address = address?.description ?? "local"
            $0.network = address?.network ?? "local"
        }
    }

    private func checkOrigin(_ head: HTTPRequest) throws {
        guard let origin = head.headerFields[.origin] else { return }
        guard self.configuration.allows(origin: origin) else {
            throw Problem(
                .forbidden, "pages of '\(Printable.text(origin, limit: 100))' may not call this API", rule: "origin")
        }
    }

    private func principal(of head: HTTPRequest, from network: String) async throws -> Principal {
        guard let header = head.headerFields[.authorization] else {
            self.services.authenticator.countMissingCredential()
            throw self.unauthenticated("a credential is needed: expected 'Authorization: Bearer …'", rule: "credential")
        }
        let parts = header.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].lowercased() == "bearer", header.utf8.count <= 20 * 1024 else {
            self.services.authenticator.countMissingCredential()
            throw self.unauthenticated("the credential must be given as 'Authorization: Bearer …'", rule: "credential")
        }
        // RFC 9110 §11.4: one or more spaces.
        switch await self.services.authenticator.authenticate(parts[1].drop { $0 == " " }, from: network) {
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

    /// The client's address; nil on a Unix socket. A header's word counts only from a trusted proxy.
    private func clientAddress(_ head: HTTPRequest, _ peer: SocketAddress?) throws -> IPAddress? {
        guard let direct = IPAddress(peer) else { return nil }
        return try RequestForm.clientAddress(
            direct, forwarded: head.headerFields[values: .forwardedFor], proxies: self.configuration.proxies)
    }

    // MARK: - Authorization

    /// Throws a `Problem` unless the principal may use the operation in its workspace.
    func authorize(_ principal: Principal, _ operation: Operation, _ record: RequestRecord) throws {
        record.note { $0.operation = operation }
        switch self.services.policy.authorize(principal, operation, in: principal.workspace) {
        case .allow(let rule): record.note { $0.rule = rule }
        case .deny(let denial): throw Problem(.forbidden, denial.reason, rule: denial.rule)
        }
    }

    // MARK: - The audit trail

    /// Writes the request's row, or counts a request without a principal. Throws a `Problem` when the row cannot be
    /// written; then nothing else may be answered.
    func conclude(_ record: RequestRecord, status: Int) async throws {
        let facts = record.facts
        guard let principal = facts.principal else {
            return self.anonymous.note(
                AnonymousTally.Request(
                    id: record.id, line: record.line, status: status, rule: facts.rule, reason: facts.reason),
                from: facts.network.isEmpty ? "local" : facts.network)
        }
        var event = AuditEvent(
            kind: .request, workspace: principal.workspace, actor: principal.actor,
            action: facts.operation?.rawValue ?? record.line, jobID: facts.jobID, status: String(status),
            rule: facts.rule, duration: record.startedAt.duration(to: .now), errorReason: facts.reason,
            paramsDigest: facts.paramsDigest, node: self.services.node, time: self.services.now())
        event.paramsPrefix = facts.paramsPrefix
        event.requestID = record.id
        event.address = facts.address
        try await self.append(event)
    }

    /// Writes a row; throws a `Problem` when that cannot be done.
    func append(_ event: AuditEvent) async throws {
        do {
            try await self.services.store.appendAudit(event.encoded, of: event.workspace)
        } catch {
            self.services.auditFailures.increment()
            throw Problem(
                .unavailable,
                "the audit trail cannot be written, so nothing is answered; try again with the same request id",
                rule: "audit", headers: [(.retryAfter, "2")])
        }
    }
}
