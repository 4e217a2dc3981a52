package import Domain
package import ModelUsage

/// One refusal: the reason and what it is about. It becomes an answer that a model can read.
package struct EgressRefusal: Error, Hashable, Sendable {
    package let reason: EgressReason
    /// One sentence that names what was found and what was expected; printable and without secrets.
    package let detail: String
    /// The host and port of the request; nil if they could not be read.
    package var target: EgressTarget?
    /// The entry that decided; nil if none did.
    package var entry: EgressEntryID?

    /// Takes the parts as given. The detail must not contain untrusted text that was not made printable.
    package init(_ reason: EgressReason, _ detail: String, target: EgressTarget? = nil, entry: EgressEntryID? = nil) {
        self.reason = reason
        self.detail = detail
        self.target = target
        self.entry = entry
    }

    /// The body of the answer: one JSON object with the reason code, the host, the entry and what to do.
    package var json: JSONValue {
        [
            "error": [
                "code": .string(self.reason.rawValue),
                "message": .string("orchestra refused this request: \(self.detail)"),
                "host": self.target.map { .string($0.host.description) } ?? .null,
                "port": self.target.map { .integer(Int64($0.port)) } ?? .null,
                "rule": self.entry.map { .string($0.text) } ?? .null,
                "advice": .string(self.reason.advice),
                "retry": .bool(self.reason.isTemporary),
            ]
        ]
    }

    /// The complete HTTP/1.1 response. It closes the connection. An answer to HEAD has no body. For a call of a model the
    /// body has the form of the provider's own errors.
    package func response(toHead isHead: Bool = false, as provider: ModelProvider? = nil) -> [UInt8] {
        let body =
            provider.map {
                ProviderErrorBody.json(
                    $0, status: self.reason.status, code: self.reason.rawValue,
                    message: "orchestra refused this request: \(self.detail)")
            } ?? self.json.bytes
        var head = "HTTP/1.1 \(self.reason.status) \(Self.phrase(self.reason.status))\r\n"
        head += "content-type: application/json\r\ncontent-length: \(body.count)\r\n"
        head += "x-orchestra-reason: \(self.reason.rawValue)\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        return Array(head.utf8) + (isHead ? [] : body)
    }

    private static func phrase(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 421: "Misdirected Request"
        case 426: "Upgrade Required"
        case 431: "Request Header Fields Too Large"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Refused"
        }
    }
}
