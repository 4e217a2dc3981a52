/// The methods that a request can have. TRACE, TRACK and every unknown method are refused.
package enum EgressMethod: String, Hashable, Sendable, CaseIterable {
    case connect = "CONNECT"
    case delete = "DELETE"
    case get = "GET"
    case head = "HEAD"
    case options = "OPTIONS"
    case patch = "PATCH"
    case post = "POST"
    case put = "PUT"
}
