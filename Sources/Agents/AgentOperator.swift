package import Domain
internal import Foundation
internal import NIOCore
package import NIOPosix
package import ShimProtocol

/// An operator's access to one launch of a running agent on this machine, next to its node: the shim serves every process of
/// the node's user that sends the launch's token. Nothing here takes the agent from its node.
package struct AgentOperator: Sendable {
    private let directory: AgentDirectory
    private let generation: Int
    private let group: MultiThreadedEventLoopGroup
    private let files: FileSystemPool

    /// Takes the parts as given; connects to nothing yet. `files` has the threads that read the agent's files.
    package init(
        directory: AgentDirectory, generation: Int, group: MultiThreadedEventLoopGroup,
        files: FileSystemPool = FileSystemPool(.singleton)
    ) {
        self.directory = directory
        self.generation = generation
        self.group = group
        self.files = files
    }

    /// Reads files of the launch on a thread for blocking work.
    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (AgentDirectory, Int) throws -> Value
    ) async throws -> Value {
        let (directory, generation) = (self.directory, self.generation)
        return try await self.files.run { try body(directory, generation) }
    }

    /// Sends a message and passes each of its receipts to `onReceipt`, until `stage` is reached, the message is refused,
    /// or the time is over; the last receipt. Sent again with the same key it is not typed again. Throws `AgentError` when there is
    /// no shim, or it does not answer.
    package func send(
        _ input: TerminalInput, key: [UInt8], until stage: MessageLedger.Stage, timeout: Duration,
        onReceipt: @escaping @Sendable (MessageLedger.Receipt) -> Void
    ) async throws -> MessageLedger.Receipt {
        let last = LatestValue<MessageLedger.Receipt>()
        try await self.converse(timeout: timeout) { connection in
            try await connection.send(input.frame(key: key))
        } receive: { frame in
            guard case .receipt(let receipt) = frame, receipt.key == key else {
                if case .exited = frame { return true }
                return false
            }
            await last.set(receipt)
            onReceipt(receipt)
            return receipt.stage == .refused || receipt.stage.rawValue >= stage.rawValue
        }
        guard let receipt = await last.value else {
            throw AgentError(
                code: .crashed, message: "the agent's shim gave no receipt; send it again with the same key")
        }
        return receipt
    }

    /// Gives the agent's terminal another size. Throws `AgentError` when the shim refuses or does not answer.
    package func resize(columns: UInt16, rows: UInt16) async throws {
        let isResized = LatestValue<Bool>()
        try await self.converse(timeout: .seconds(10)) {
            try await $0.send(.resize(columns: columns, rows: rows))
        } receive: { frame in
            guard frame == .resized(columns: columns, rows: rows) else { return false }
            await isResized.set(true)
            return true
        }
        guard await isResized.value == true else {
            throw AgentError(code: .crashed, message: "the agent's shim did not answer")
        }
    }

    /// Stops every process of the agent where it stands; how many there are. Throws as `resize` does.
    package func freeze() async throws -> Int { try await self.ask(.freeze) }

    /// Lets every process of a frozen agent continue; how many there are. Throws as `resize` does.
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

    /// The agent's events with higher numbers than this, as `{"n":…,"ms":…,"event":{…}}`. Where there are none yet, waits for
    /// the first, at most for `wait`.
    package func events(after number: UInt64, wait: Duration) async throws -> [JSONValue] {
        let found = try await self.read { try $0.events($1, after: number) }
        guard found.isEmpty, wait > .zero else { return found }
        try await self.converse(timeout: wait) {
            try await $0.send(.follow(after: number))
        } receive: { frame in
            switch frame {
            case .event, .exited: true
            default: false
            }
        }
        return try await self.read { try $0.events($1, after: number) }
    }

    /// How long a shim that is being launched, or has just ended, may have neither socket nor record.
    private static let reconnectTimeout = Duration.seconds(15)

    /// Passes the bytes of its terminal from `offset` on as they come, until it has ended and all were passed; its exit
    /// record. The shim waits while `each` runs. Throws `AgentError` when the shim refuses, or is gone without a record: for
    /// 15 seconds since the last connection.
    package func output(
        from offset: UInt64, each: @escaping @Sendable (UInt64, [UInt8]) async throws -> Void
    ) async throws -> ExitRecord {
        let given = LatestValue<UInt64>()
        await given.set(offset)
        var deadline = ContinuousClock.now + Self.reconnectTimeout
        while try await self.read({ try $0.exitRecord($1) }) == nil {
            do {
                switch try await self.watch(given, each) {
                case .ended(let record): return record
                case .lost: deadline = ContinuousClock.now + Self.reconnectTimeout
                case .absent: break
                }
            } catch let error as IOError where error.errnoCode == ENOENT || error.errnoCode == ECONNREFUSED {
                // Not there yet, or not any more: the exit record decides.
            }
            guard ContinuousClock.now < deadline else {
                throw AgentError(code: .crashed, message: "the agent's shim is gone and left no exit record")
            }
            try await ContinuousClock().sleep(for: .milliseconds(50))
        }
        while true {
            try Task.checkCancellation()
            let next = await given.value ?? offset
            let part = try await self.read { try $0.log($1, from: next, limit: 32 * 1024) }
            guard !part.bytes.isEmpty else { break }
            try await each(part.place, part.bytes)
            await given.set(part.place + UInt64(part.bytes.count))
        }
        guard let record = try await self.read({ try $0.exitRecord($1) }) else {
            throw AgentError(code: .crashed, message: "the agent's exit record cannot be read")
        }
        return record
    }

    /// How a connection to the shim ended.
    private enum Watched {
        case ended(ExitRecord)
        /// The shim closed it, or died, before the program's end.
        case lost
        /// There is no launch file.
        case absent
    }

    private func watch(
        _ given: LatestValue<UInt64>, _ each: @escaping @Sendable (UInt64, [UInt8]) async throws -> Void
    ) async throws -> Watched {
        guard let spec = try await self.read({ try $0.launchSpec($1) }) else { return .absent }
        let start = await given.value ?? 0
        let record = try await ShimConnection.with(
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
        return record.map(Watched.ended) ?? .lost
    }

    /// Connects, sends the token, and passes frames to `receive` until it returns true, the shim ends, or the time is over.
    private func converse(
        timeout: Duration, opened: @escaping @Sendable (ShimConnection) async throws -> Void,
        receive: @escaping @Sendable (ShimFrame) async -> Bool
    ) async throws {
        guard let spec = try await self.read({ try $0.launchSpec($1) }) else {
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
