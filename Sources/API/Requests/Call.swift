internal import Audit
internal import Cryptography
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Jobs
internal import NIOCore
internal import Redaction
internal import Redis

/// One request that may be answered: who asks, what, and with what.
struct Call: Sendable {
    let request: Request
    let context: APIContext
    let record: RequestRecord
    let principal: Principal
    let services: APIServices

    var workspace: WorkspaceID { self.principal.workspace }

    /// A job's id out of the path.
    func jobID() throws -> JobID {
        guard let text = self.context.parameters.get("id"), let id = try? JobID(text) else {
            throw Problem(.notFound, "there is no such job in this workspace; expected its id, a UUID")
        }
        self.record.note { $0.jobID = id }
        return id
    }

    /// The query's parameters, each once and only those that the path knows.
    func query(_ known: Set<String>) throws -> [String: String] {
        var found: [String: String] = [:]
        for (name, value) in self.request.uri.queryParameters {
            let key = String(name)
            guard known.contains(key) else {
                throw Problem(
                    .invalid,
                    "the query's '\(Printable.text(key, limit: 40))' is not known here; known are: \(known.sorted().joined(separator: ", "))"
                )
            }
            guard found.updateValue(String(value), forKey: key) == nil else {
                throw Problem(.invalid, "the query's '\(key)' is there twice")
            }
        }
        return found
    }

    func limit(_ query: [String: String], largest: Int = 200) throws -> Int {
        guard let text = query["limit"] else { return 50 }
        guard let number = Int(text), (1...largest).contains(number), String(number) == text else {
            throw Problem(.invalid, "'limit' must be an integer from 1 to \(largest)")
        }
        return number
    }

    /// The body as strict JSON: an object, read member by member.
    func body() async throws -> BodyReader { BodyReader(try await self.document()) }

    /// The body as strict JSON: an object, with its source.
    func document() async throws -> JSONDocument {
        let type = (self.request.headers[.contentType] ?? "").split(separator: ";").first.map {
            String($0).lowercased()
        }
        guard let type, type == "application/json" || type == "application/json " else {
            throw Problem(.unsupportedType, "the body must be application/json")
        }
        guard self.request.headers[.contentEncoding] == nil else {
            throw Problem(.unsupportedType, "the body must not be compressed")
        }
        let bytes = Array(
            try await self.request.body.collect(upTo: self.services.configuration.bodyLimit).readableBytesView)
        let document: JSONDocument
        do throws(DomainError) { document = try JSONParser.document(bytes) } catch {
            throw Problem(.malformed, "the body is not strict JSON: \(error.message)")
        }
        guard document.value.members != nil else { throw Problem(.invalid, "the body must be a JSON object") }
        return document
    }

    /// Notes params for the audit trail: a digest of the bytes that the client sent, under a key, and their shape without
    /// their values.
    func note(params: [UInt8]) throws {
        let digest = try self.services.digester.digest(params)
        // What is not JSON has no shape; the policy refuses it.
        let shape = (try? JSONParser.parse(params)).map(MaskedParams.prefix(of:)) ?? ""
        self.record.note {
            $0.paramsDigest = digest
            $0.paramsPrefix = shape
        }
    }

    /// A row of the audit trail for what is about to be done in this request's name.
    func event(
        _ kind: AuditEvent.Kind, _ job: JobID, status: String, action: String = "", digest: [UInt8] = []
    ) -> [UInt8] {
        var event = AuditEvent(
            kind: kind, workspace: self.workspace, actor: self.principal.actor, action: action, jobID: job,
            status: status, rule: self.record.facts.rule, duration: .zero, errorReason: "", paramsDigest: digest,
            node: self.services.node, time: self.services.now())
        event.requestID = self.record.id
        return event.encoded
    }
}

/// Reads the members of a body, each by name and type; one that nobody asked for is refused.
struct BodyReader {
    private let document: JSONDocument
    private var value: JSONValue { self.document.value }
    private var known: Set<String> = []

    init(_ document: JSONDocument) { self.document = document }

    mutating func member(_ name: String) -> JSONValue? {
        self.known.insert(name)
        return self.value[name]
    }

    mutating func text(_ name: String) throws -> String {
        guard let text = try self.optionalText(name) else {
            throw Problem(.invalid, "'\(name)' is missing: expected a string")
        }
        return text
    }

    mutating func optionalText(_ name: String) throws -> String? {
        guard let value = self.member(name) else { return nil }
        guard let text = value.string else { throw Problem(.invalid, "'\(name)' must be a string") }
        return text
    }

    mutating func optionalInteger(_ name: String) throws -> Int64? {
        guard let value = self.member(name) else { return nil }
        guard let number = value.wholeNumber else { throw Problem(.invalid, "'\(name)' must be an integer") }
        return number
    }

    /// An object as the client wrote it.
    mutating func object(_ name: String) throws -> [UInt8] {
        guard let value = self.member(name), value.members != nil, let bytes = self.document.bytes(of: name) else {
            throw Problem(.invalid, "'\(name)' must be an object")
        }
        return bytes
    }

    /// A list's elements as the client wrote them.
    mutating func list(_ name: String) throws -> [JSONDocument]? {
        guard let value = self.member(name) else { return nil }
        guard value.array != nil, let bytes = self.document.bytes(of: name) else {
            throw Problem(.invalid, "'\(name)' must be a list")
        }
        return try JSONParser.document(bytes).elements.map { try JSONParser.document($0) }
    }

    func finish() throws {
        guard let unknown = self.value.members?.first(where: { !self.known.contains($0.name) }) else { return }
        throw Problem(
            .invalid,
            "'\(Printable.text(unknown.name, limit: 40))' is not known here; known are: \(self.known.sorted().joined(separator: ", "))"
        )
    }
}

/// Params without what could be secret in them: names, shapes and lengths.
enum MaskedParams {
    private static let limit = 64

    /// At most 64 characters, and never more than half of a short one.
    static func prefix(of params: JSONValue) -> String {
        let text = self.masked(params).text
        return String(text.prefix(text.count > self.limit ? self.limit : (text.count + 1) / 2))
    }

    private static func masked(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool: value
        case .integer, .number: "number"
        case .string(let text): .string("text \(text.utf8.count)")
        case .array(let list): .array(list.prefix(8).map(self.masked))
        case .object(let members):
            .object(
                members.prefix(16).map {
                    JSONMember(Printable.text(CredentialMask.masked($0.name), limit: 32), self.masked($0.value))
                })
        }
    }
}

extension Response {
    static func json(
        _ value: JSONValue, status: HTTPResponse.Status = .ok, headers: [(HTTPField.Name, String)] = []
    ) -> Response {
        var fields: HTTPFields = [.contentType: "application/json"]
        for (name, value) in headers { fields[name] = value }
        return Response(
            status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.bytes)))
    }
}

extension Error {
    /// Redis is away, slow or full: the same request may be sent again.
    var isOutage: Bool {
        switch self {
        case let error as JobQueueError: error.isTransient
        case is RedisError: true
        default: false
        }
    }
}
