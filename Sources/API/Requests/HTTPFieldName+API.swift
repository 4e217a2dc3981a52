internal import HTTPTypes

extension HTTPField.Name {
    static let requestID = fixed("X-Request-ID")
    static let traceparent = fixed("traceparent")
    static let forwardedFor = fixed("X-Forwarded-For")
    /// The node that forwarded a request; one that carries it is not forwarded again.
    static let forwardedBy = fixed("Orchestra-Forwarded-By")
    static let host = fixed("Host")
    static let rateLimit = fixed("RateLimit")
    static let rateLimitPolicy = fixed("RateLimit-Policy")
    static let referrerPolicy = fixed("Referrer-Policy")
    static let lastEventID = fixed("Last-Event-ID")
    static let webSocketVersion = fixed("Sec-WebSocket-Version")

    private static func fixed(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else {
            preconditionFailure("'\(name)' is not a valid name of a header field")
        }
        return field
    }
}
