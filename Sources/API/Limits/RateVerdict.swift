/// The limit's answer to one request.
package struct RateVerdict: Sendable, Hashable {
    /// Whether the request may pass.
    package let isAllowed: Bool
    /// Requests in each period.
    package let limit: Int
    /// Requests that may still pass now.
    package let remaining: Int
    /// Seconds until there is room again, or until the oldest request no longer counts.
    package let reset: Int
    /// Seconds.
    package let period: Int
}
