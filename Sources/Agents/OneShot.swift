/// A value that is set some time, kept, and can be waited for; the wait ignores cancellation. A value that is set again
/// replaces the first.
actor OneShot<Value: Sendable> {
    private(set) var current: Value?
    private var waiters: [CheckedContinuation<Value, Never>] = []

    func set(_ value: Value) {
        self.current = value
        let waiters = self.waiters
        self.waiters = []
        for waiter in waiters { waiter.resume(returning: value) }
    }

    var value: Value {
        get async {
            if let current = self.current { return current }
            return await withCheckedContinuation { self.waiters.append($0) }
        }
    }
}
