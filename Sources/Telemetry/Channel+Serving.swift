internal import NIOCore

extension Channel {
    /// Waits until the listening channel is closed, which cancelling the task does.
    func servedUntilCancelled() async throws {
        try await withTaskCancellationHandler {
            try await self.closeFuture.get()
        } onCancel: {
            self.close(promise: nil)
        }
    }
}
