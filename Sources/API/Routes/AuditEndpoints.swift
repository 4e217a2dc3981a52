internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Jobs
internal import NIOCore

extension Endpoint {
    static let audit = [
        Endpoint(
            method: .get, path: "/audit",
            summary: "The workspace's audit trail, the newest event first, by pages. Reading it is recorded, too.",
            parameters: [
                Parameter(name: "limit", text: "Events of a page.", schema: Schema.integer(1...200)),
                Parameter(
                    name: "cursor", text: "`next` of the previous page.",
                    schema: ["type": "string", "pattern": "^[0-9]{1,19}(-[0-9]{1,19})?(/[0-9]{1,6})?$"]),
            ],
            answers: [Answer(status: 200, text: "A page.", schema: Schema.reference("AuditPage"))],
            handler: .guarded(.readAudit, Self.readAudit))
    ]

    private static func readAudit(_ call: Call) async throws -> Response {
        let query = try call.query(["limit", "cursor"])
        let limit = try call.limit(query)
        if let cursor = query["cursor"] {
            let halves = cursor.split(separator: "/", omittingEmptySubsequences: false)
            let parts = halves[0].split(separator: "-", omittingEmptySubsequences: false)
            let areNumbers = (parts + halves.dropFirst()).allSatisfy {
                UInt64($0) != nil && $0.utf8.allSatisfy { (0x30...0x39).contains($0) }
            }
            guard (1...2).contains(parts.count), halves.count <= 2, areNumbers else {
                throw Problem(.invalid, "'cursor' must be the 'next' of an earlier page")
            }
        }
        let page = try await call.services.store.auditTrail(
            of: call.workspace, before: query["cursor"], limit: limit)
        return .json(["events": .array(page.rows), "next": page.next.map { .string($0) } ?? .null])
    }

    static let wellKnown = [
        Endpoint(
            method: .get, path: "/.well-known/security.txt", summary: "Where to report a vulnerability (RFC 9116).",
            answers: [Answer(status: 200, text: "The contact.", type: "text/plain")], problems: [404],
            handler: .open { services in
                guard let contact = services.configuration.securityContact else {
                    throw Problem(.notFound, "no security contact is configured; set api.security-contact")
                }
                // RFC 9116 asks for an end within a year; the document is valid when it is served.
                let end = JobView.time(services.now() + 30 * 86_400_000).string ?? ""
                return Self.text("Contact: \(contact)\nExpires: \(end)\nPreferred-Languages: en\n")
            }),
        Endpoint(
            method: .get, path: "/.well-known/oauth-protected-resource",
            summary: "Where tokens for this API come from (RFC 9728).",
            answers: [Answer(status: 200, text: "The issuers.", schema: Schema.reference("ProtectedResource"))],
            problems: [404],
            handler: .open { services in
                guard let url = services.configuration.publicURL, !services.configuration.issuers.isEmpty else {
                    throw Problem(.notFound, "this API accepts no tokens of an issuer")
                }
                return .json([
                    "resource": .string(url),
                    "authorization_servers": .array(services.configuration.issuers.map { .string($0) }),
                    "scopes_supported": .array(Scope.allCases.map { .string($0.rawValue) }),
                    "bearer_methods_supported": ["header"],
                ])
            }),
        Endpoint(
            method: .get, path: "/openapi.json", summary: "This document.",
            answers: [Answer(status: 200, text: "OpenAPI 3.1.", schema: ["type": "object"])],
            handler: .open { services in
                Response(
                    status: .ok, headers: [.contentType: "application/json"],
                    body: ResponseBody(byteBuffer: ByteBuffer(bytes: services.document)))
            }),
    ]

    private static func text(_ text: String) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
