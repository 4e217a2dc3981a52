internal import Domain
package import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Redaction

/// Why a request failed, as `application/problem+json` (RFC 9457): one sentence that names the thing and what was
/// expected, without secrets.
package struct Problem: Error, Sendable {
    /// The kind of a problem; the raw value is its name on the wire.
    package enum Code: String, Sendable, CaseIterable {
        case malformed = "malformed-request"
        case unauthenticated
        case forbidden
        case actionNotAllowed = "action-not-allowed"
        case notFound = "not-found"
        case methodNotAllowed = "method-not-allowed"
        case notImplemented = "not-implemented"
        case notAcceptable = "not-acceptable"
        case timeout = "request-timeout"
        case conflict
        case tooLarge = "too-large"
        case headersTooLarge = "headers-too-large"
        case unsupportedType = "unsupported-media-type"
        case misdirected = "misdirected-request"
        case invalid = "invalid-request"
        case upgradeRequired = "upgrade-required"
        case rateLimited = "rate-limited"
        case full = "workspace-full"
        case failed = "internal-error"
        case badGateway = "bad-gateway"
        case unavailable
    }

    package let code: Code
    package let detail: String
    package var headers: [(HTTPField.Name, String)] = []
    /// The rule that decided, for the audit trail.
    package var rule: String
    /// The connection cannot be used for another request.
    package var closes = false

    /// `detail` is the sentence, in which secrets are redacted; `rule` is the code's name unless given.
    package init(_ code: Code, _ detail: String, rule: String? = nil, headers: [(HTTPField.Name, String)] = []) {
        self.code = code
        self.detail = Redactor.redacted(detail)
        self.rule = rule ?? code.rawValue
        self.headers = headers
    }

    /// A body above its bound of bytes, of which the rest is not read.
    static func tooLarge(_ limit: Int) -> Problem {
        self.closing(.tooLarge, "the body is longer than \(limit) bytes")
    }

    /// A problem after which the connection cannot be used for another request.
    static func closing(_ code: Code, _ detail: String) -> Problem {
        var problem = Problem(code, detail)
        problem.closes = true
        return problem
    }

    /// The HTTP status that the code stands for.
    package var status: HTTPResponse.Status {
        switch self.code {
        case .malformed: .badRequest
        case .unauthenticated: .unauthorized
        case .forbidden, .actionNotAllowed: .forbidden
        case .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .notImplemented: .notImplemented
        case .notAcceptable: .notAcceptable
        case .timeout: .requestTimeout
        case .conflict: .conflict
        case .tooLarge: .contentTooLarge
        case .headersTooLarge: .requestHeaderFieldsTooLarge
        case .unsupportedType: .unsupportedMediaType
        case .misdirected: .misdirectedRequest
        case .invalid: .unprocessableContent
        case .upgradeRequired: .upgradeRequired
        case .rateLimited, .full: .tooManyRequests
        case .failed: .internalServerError
        case .badGateway: .badGateway
        case .unavailable: .serviceUnavailable
        }
    }

    /// The JSON document of the problem.
    func body(requestID: String) -> JSONValue {
        [
            "type": .string("urn:orchestra:problem:\(self.code.rawValue)"), "title": .string(self.status.reasonPhrase),
            "status": .integer(Int64(self.status.code)), "detail": .string(self.detail),
            "request_id": .string(requestID),
        ]
    }

    /// The answer to the request of this ID.
    func response(requestID: String) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = "application/problem+json"
        for (name, value) in self.headers { fields[name] = value }
        if self.closes { fields[.connection] = "close" }
        return Response(
            status: self.status, headers: fields,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: self.body(requestID: requestID).bytes)))
    }
}
