package import ModelUsage

/// The check of a large request of a model. It takes milliseconds for each megabyte, so that the server runs it on a thread of
/// its own.
package struct ModelCheck: Hashable, Sendable {
    private let call: ModelCall

    init(_ call: ModelCall) { self.call = call }

    /// The request, or why it is refused.
    package func run() -> Result<ModelRequest, EgressRefusal> {
        do throws(EgressRefusal) { return .success(try self.call.checked()) } catch { return .failure(error) }
    }
}
