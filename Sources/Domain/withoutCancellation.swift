/// Runs an operation to its end although the caller is cancelled before or meanwhile, and returns what it returns or throws
/// what it throws. For clean-up and evidence that a cancellation must not cut short; the operation bounds its own time.
package func withoutCancellation<Value: Sendable, Failure: Error>(
    _ operation: @escaping @Sendable () async throws(Failure) -> Value
) async throws(Failure) -> Value {
    let task = Task { () -> Result<Value, Failure> in  // awaited right below
        do throws(Failure) {
            return .success(try await operation())
        } catch {
            return .failure(error)
        }
    }
    return try await task.value.get()
}
