package import Domain
package import Redis

/// The job queue on Redis Streams. Each step that must be atomic is one call of a server-side function.
///
/// All of its keys are in one lane.
package struct RedisStreamJobQueue: JobQueue {
    package let limits: QueueLimits
    let client: RedisClient
    private let blocking: RedisClient?
    let lane: Lane
    let functions: QueueFunctions

    /// Creates the queue of one lane. `blocking` is the client for calls that wait in Redis; with the same client, all other
    /// calls would wait too. Without it, `waitForEnd` and `listen` throw.
    package init(
        client: RedisClient, blocking: RedisClient? = nil, limits: QueueLimits, lane: Lane = .single,
        functions: QueueFunctions = .standard
    ) {
        self.client = client
        self.blocking = blocking
        self.limits = limits
        self.lane = lane
        self.functions = functions
    }

    /// Returns the time of Redis in milliseconds since the epoch.
    package func time() async throws -> UInt64 {
        let parts = try await self.direct(.time).elements
        guard parts.count == 2, let seconds = parts[0].integer, let microseconds = parts[1].integer else {
            throw Self.unexpected("TIME")
        }
        return UInt64(clamping: seconds) * 1000 + UInt64(clamping: microseconds / 1000)
    }

    // MARK: - Keys

    /// Returns the wrapped key; nil when the workspace has none with this ID.
    package func wrappedKey(_ id: UInt32, of workspace: WorkspaceID) async throws -> [UInt8]? {
        let stored = try await self.direct(.hashGet(self.keyring(of: workspace), field: String(id)))
        return stored.isNull ? nil : Array(stored.bytes)
    }

    /// Stores the wrapped key unless the workspace has one with this ID.
    package func storeKey(_ wrapped: [UInt8], id: UInt32, of workspace: WorkspaceID) async throws {
        _ = try await self.direct(.hashSetIfAbsent(self.keyring(of: workspace), field: String(id), value: wrapped))
    }

    private func keyring(of workspace: WorkspaceID) -> String { self.lane.key("w:\(workspace.name):k") }

    /// Returns the stored fingerprint of the master key; stores and returns `own` when there is none.
    package func masterFingerprint(own: [UInt8]) async throws -> [UInt8] {
        try await self.firstStored("master", own: own)
    }

    /// Returns the number of lanes that this queue is divided into, and stores `own` when there is none. Returns 0 when the
    /// stored value is not a number.
    func laneCount(own: Int) async throws -> Int {
        let stored = try await self.firstStored("lanes", own: Array(String(own).utf8))
        return Int(String(decoding: stored, as: UTF8.self)) ?? 0
    }

    /// Returns the value that the first process stored under a name, which is `own` when there was none.
    private func firstStored(_ name: String, own: [UInt8]) async throws -> [UInt8] {
        let key = self.lane.key(name)
        do {
            let replies = try await self.client.pipeline([.setIfAbsent(key, value: own), .get(key)])
            _ = try replies.first?.checked()
            guard let stored = try replies.last?.checked() else { throw Self.unexpected("GET") }
            return Array(stored.bytes)
        } catch {
            throw JobQueueError.from(error)
        }
    }

    // MARK: - Waiting

    /// Waits for whole seconds, at least one. After the timeout it returns the state from before the wait, nil when
    /// there is no such job. Throws `JobQueueError`: `failed` without a client for blocking calls.
    package func waitForEnd(of id: JobID, in workspace: WorkspaceID, timeout: Duration) async throws -> JobState? {
        guard let blocking = self.blocking else { throw Self.noBlockingConnection }
        let now = try await self.send(self.call("wait", workspace, id))
        guard let state = now.bytes.first.flatMap({ JobState(code: $0) }) else { return nil }
        if state.isFinal { return state }
        let pop = RedisCommand.listPopFirst(
            Array(self.lane.key("done:").utf8) + id.uuid.bytes, waiting: max(1, timeout.components.seconds))
        do {
            let reply = try await blocking.send(pop, timeout: timeout + .seconds(2)).elements
            return reply.count == 2 ? reply[1].bytes.first.flatMap { JobState(code: $0) } ?? state : state
        } catch {
            throw JobQueueError.from(error)
        }
    }

    /// Returns the current ends of the wake-up and control streams; keeps the control position of `before`.
    package func position(after before: QueuePosition?) async throws -> QueuePosition {
        let wakeUp = try await self.lastEntry(of: "bell")
        guard let before else { return QueuePosition(wakeUp: wakeUp, control: try await self.lastEntry(of: "control")) }
        return QueuePosition(wakeUp: wakeUp, control: before.control)
    }

    /// The ID of the last entry of a stream, 0-0 when it is empty.
    private func lastEntry(of stream: String) async throws -> EntryID {
        let reply = try await self.direct(.streamLast(self.lane.key(stream)))
        return reply.elements.first?.elements.first.flatMap { EntryID(text: $0.bytes) }
            ?? EntryID(milliseconds: 0, sequence: 0)
    }

    /// Waits for new entries of the wake-up and control streams, and advances `position`. Returns the jobs to cancel.
    /// Throws `JobQueueError`: `failed` without a client for blocking calls.
    package func listen(from position: inout QueuePosition, timeout: Duration) async throws -> [JobID] {
        guard let blocking = self.blocking else { throw Self.noBlockingConnection }
        let command = RedisCommand.streamRead(
            [
                (self.lane.key("bell"), position.wakeUp.description),
                (self.lane.key("control"), position.control.description),
            ], count: 64, waiting: timeout.milliseconds)
        do {
            var cancelled: [JobID] = []
            for stream in try await blocking.send(command, timeout: timeout + .seconds(1)).elements {
                let parts = stream.elements
                guard parts.count == 2,
                    let last = parts[1].elements.last?.elements.first.flatMap({ EntryID(text: $0.bytes) })
                else { continue }
                if parts[0].string == self.lane.key("bell") {
                    position.wakeUp = last
                } else {
                    position.control = last
                    cancelled += parts[1].elements.compactMap(Self.cancelledJob)
                }
            }
            return cancelled
        } catch {
            throw JobQueueError.from(error)
        }
    }

    /// Reads `[entry ID, ["c", job ID]]`. Returns nil for requests of another kind.
    private static func cancelledJob(_ entry: RESPValue) -> JobID? {
        let fields = entry.elements.last?.elements ?? []
        guard fields.count == 2, fields[0].string == "c" else { return nil }
        return UUIDBytes(bytes: fields[1].bytes).map { JobID(uuid: $0) }
    }

    // MARK: - Calls

    /// Starts a call of a server-side function. `capacity` is the expected size of the arguments in bytes.
    func call(_ function: String, capacity: Int = 256) -> RedisCommand {
        .functionCall(self.functions.name(function), key: self.lane.anchor, capacity: capacity)
    }

    /// Starts a call whose first arguments are a workspace and a job ID, if any.
    func call(_ function: String, _ workspace: WorkspaceID, _ id: JobID? = nil) -> RedisCommand {
        var call = self.call(function)
        call.append(workspace.name)
        if let id { call.append(id.uuid.bytes) }
        return call
    }

    /// Calls a function, after loading the library when Redis does not have it. Throws `JobQueueError` or
    /// `CancellationError`.
    func send(_ call: RedisCommand) async throws -> RESPValue {
        do {
            let replies = try await self.functions.library.call([call], on: self.client)
            guard let reply = replies.first else { throw Self.unexpected("a function call") }
            return try reply.checked()
        } catch {
            throw JobQueueError.from(error)
        }
    }

    /// Sends a plain command. Throws `JobQueueError` or `CancellationError`.
    func direct(_ command: RedisCommand) async throws -> RESPValue {
        do { return try await self.client.send(command) } catch { throw JobQueueError.from(error) }
    }

    /// The error for a malformed reply; `what` names the command.
    static func unexpected(_ what: String) -> JobQueueError {
        JobQueueError(code: .failed, message: "the reply of Redis to \(what) is malformed")
    }

    private static let noBlockingConnection = JobQueueError(
        code: .failed, message: "this queue has no connection for blocking calls; expected one in its initializer")
}
