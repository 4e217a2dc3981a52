internal import Audit
internal import Cryptography
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Jobs
internal import NIOCore

/// One admitted and authorized request, with what is needed to answer it.
struct Call: Sendable {
    let request: Request
    let context: APIContext
    let record: RequestRecord
    let principal: Principal
    let services: APIServices

    var workspace: WorkspaceID { self.principal.workspace }

    /// The job's ID in the path; throws a `Problem` when it is not one.
    func jobID() throws -> JobID {
        // A text that is not an ID names no job.
        guard let text = self.context.parameters.get("id"), let id = JobID(ifValid: text) else {
            throw Problem(.notFound, "there is no such job in this workspace; expected its id, a UUID")
        }
        self.record.note { $0.jobID = id }
        return id
    }

    /// The query's parameters; throws a `Problem` for an unknown one, and for one that occurs twice.
    func query(_ known: Set<String>) throws -> [String: String] {
        var found: [String: String] = [:]
        for (name, value) in self.request.uri.queryParameters {
            let key = String(name)
            guard known.contains(key) else {
                throw Problem(
                    .invalid,
                    "the query's '\(Printable.text(key, limit: 40))' is unknown; expected one of: \(known.sorted().joined(separator: ", "))"
                )
            }
            guard found.updateValue(String(value), forKey: key) == nil else {
                throw Problem(.invalid, "the query's '\(key)' occurs twice")
            }
        }
        return found
    }

    /// The query's 'limit', 50 where it is absent.
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
            $0.lowercased()
        }
        let json = "application/json"
        guard let type, type.hasPrefix(json), type.dropFirst(json.count).allSatisfy({ $0 == " " || $0 == "\t" }) else {
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
        // Bytes that are not JSON have no shape; the policy refuses them.
        let shape = JSONValue(ifValid: params).map(MaskedParams.prefix(of:)) ?? ""
        self.record.note {
            $0.paramsDigest = digest
            $0.paramsPrefix = shape
        }
    }

    /// The audit row of a change that this request makes.
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
