/// What is known of a request whose answer is read. It bounds the estimates.
package struct SentRequest: Hashable, Sendable {
    /// The size of the body in bytes.
    package var bytes: UInt64
    /// The model that was requested; nil if it is not known.
    package var model: String?
    /// The most output tokens that the provider may charge; nil if the request sets no limit.
    package var maximumOutput: UInt64?

    /// Takes the values as given.
    package init(bytes: UInt64 = 0, model: String? = nil, maximumOutput: UInt64? = nil) {
        self.bytes = bytes
        self.model = model
        self.maximumOutput = maximumOutput
    }
}
