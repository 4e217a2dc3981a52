/// How the end of a request's body is found.
enum BodyFraming: Hashable, Sendable {
    case none
    case length(UInt64)
    case chunked
}
