package import Domain
internal import Foundation
internal import NIOCore
package import NIOPosix
package import ShimProtocol

/// What a person does to one launch of a living agent on this machine, beside its node: the shim serves anyone of the
/// node's user who shows the launch's token. Nothing here takes the agent from its node.
package struct AgentOperator: Sendable {
    private let directory: AgentDirectory
    private let generation: Int
    private let group: MultiThreadedEventLoopGroup

    package init(directory: AgentDirectory, generation: Int, group: MultiThreadedEventLoopGroup) {
        self.directory = directory
        self.generation = generation
        self.group = group
    }

    /// Sends a message and gives each of its receipts to `told`, until `stage` is reached, it is refused, or the time is
    /// over; the last receipt. Sent again with the same key it is not typed again. Throws `AgentError` when there is no
    /// shim, or none answers.
    package func send(
        _ text: String, key: [UInt8], until stage: MessageLedger.Stage, timeout: Duration,
        told: @escaping @Sendable (MessageLedger.Receipt) -> Void
    ) async throws -> MessageLedger.Receipt {
        let last = LatestValue<MessageLedger.Receipt>()
        try await self.converse(timeout: timeout) { connection in
            try await connection.send(.message(key: key, text: text))
        } receive: { frame in
            guard case .receipt(let receipt) = frame, receipt.key == key else {
                if case .exited = frame { return true }
                return false
            }
            await last.set(receipt)
            told(receipt)
            return receipt.stage == .refused || receipt.stage.rawValue >= stage.rawValue
        }
        guard let receipt = await last.value else {
            throw AgentError(
                code: .crashed, message: "the agent's shim gave no receipt; send it again with the same key")
        }
        return receipt
    }

    /// Stops every process of the agent where it stands; how many there are.
    package func freeze() async throws -> Int { try await self.ask(.freeze) }

    /// Lets all go on.
    package func thaw() async throws -> Int { try await self.ask(.thaw) }

    private func ask(_ frame: ShimFrame) async throws -> Int {
        let count = LatestValue<Int>()
        try await self.converse(timeout: .seconds(10)) {
            try await $0.send(frame)
        } receive: { frame in
            guard case .done(let number) = frame else { return false }
            await count.set(Int(number))
            return true
        }
        guard let result = await count.value else {
            throw AgentError(code: .crashed, message: "the agent's shim did not answer")
        }
        return result
    }

    /// What the agent said beside its terminal after this number, as lines `{"n":…,"ms":…,"event":{…}}`. Where there is
    /// nothing yet it is waited for, at most for `wait`.
    package func events(after number: UInt64, wait: Duration) async throws -> [JSONValue] {
        let found = try self.directory.events(self.generation, after: number)
        guard found.isEmpty, wait > .zero else { return found }
        try await self.converse(timeout: wait) {
            try await $0.send(.follow(after: number))
        } receive: { frame in
            switch frame {
            case .event, .exited: true
            default: false
            }
        }
        return try self.directory.events(self.generation, after: number)
    }

    /// How long a shim that is just being launched, or has just died, may have neither socket nor record.
    private static let reconnectTimeout = Duration.seconds(15)

    /// Gives the bytes of its terminal from `offset` on as they come, until it has ended and all were given; its exit
    /// record. `each` may take its time: the shim waits. Throws `AgentError` when the shim refuses, or is gone without a
    /// record.
    package func output(
        from offset: UInt64, each: @escaping @Sendable (UInt64, [UInt8]) async throws -> Void
    ) async throws -> ExitRecord {
        let given = LatestValue<UInt64>()
        await given.set(offset)
        let deadline = ContinuousClock.now + Self.reconnectTimeout
        while try self.directory.exitRecord(self.generation) == nil {
            do {
                if let record = try await self.watch(given, each) { return record }
            } catch let error as IOError where error.errnoCode == ENOENT || error.errnoCode == ECONNREFUSED {
                // Not there yet, or not any more: the record will tell.
            }
            guard ContinuousClock.now < deadline else {
                throw AgentError(code: .crashed, message: "the agent's shim is gone and left no exit record")
            }
            try await ContinuousClock().sleep(for: .milliseconds(50))
        }
        while true {
            try Task.checkCancellation()
            let next = await given.value ?? offset
            let part = try self.directory.log(self.generation, from: next, limit: 32 * 1024)
            guard !part.bytes.isEmpty else { break }
            try await each(part.place, part.bytes)
            await given.set(part.place + UInt64(part.bytes.count))
        }
        guard let record = try self.directory.exitRecord(self.generation) else {
            throw AgentError(code: .crashed, message: "the agent's exit record cannot be read")
        }
        return record
    }

    /// Follows the living shim; nil when it closed without telling of the end.
    private func watch(
        _ given: LatestValue<UInt64>, _ each: @escaping @Sendable (UInt64, [UInt8]) async throws -> Void
    ) async throws -> ExitRecord? {
        guard let spec = try self.directory.launchSpec(self.generation) else { return nil }
        let start = await given.value ?? 0
        return try await ShimConnection.with(
            path: self.directory.socketPath(self.generation), group: self.group
        ) { connection in
            try await connection.send(.hello(token: spec.token, epoch: 0))
            try await connection.send(.watch(offset: start))
        } receive: { frame, _ in
            switch frame {
            case .output(let place, let bytes):
                try await each(place, bytes)
                await given.set(place + UInt64(bytes.count))
                return nil as ExitRecord?
            case .exited(let record): return record
            case .refused(let reason):
                throw AgentError(code: .replaced, message: "the agent's shim refused: \(reason)")
            default: return nil
            }
        }
    }

    /// Shows the token and talks until `receive` says that it is enough, the shim ends, or the time is over.
    private func converse(
        timeout: Duration, opened: @escaping @Sendable (ShimConnection) async throws -> Void,
        receive: @escaping @Sendable (ShimFrame) async -> Bool
    ) async throws {
        guard let spec = try self.directory.launchSpec(self.generation) else {
            throw AgentError(code: .crashed, message: "the agent's launch file is missing")
        }
        let (path, group) = (self.directory.socketPath(self.generation), self.group)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                _ = try await ShimConnection.with(path: path, group: group) { connection in
                    try await connection.send(.hello(token: spec.token, epoch: 0))
                    try await opened(connection)
                } receive: { frame, _ in
                    if case .refused(let reason) = frame {
                        throw AgentError(code: .replaced, message: "the agent's shim refused: \(reason)")
                    }
                    return await receive(frame) ? true : nil
                }
            }
            tasks.addTask { try await ContinuousClock().sleep(for: timeout) }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }
}

private actor LatestValue<Value: Sendable> {
    private(set) var value: Value?

    func set(_ value: Value) { self.value = value }
}
