extension ContinuousClock {
    /// Waits; false when the caller was cancelled before the time was over.
    static func elapsed(_ duration: Duration) async -> Bool {
        do {
            try await ContinuousClock().sleep(for: duration)
            return true
        } catch {
            return false  // sleeping throws nothing but CancellationError
        }
    }
}
