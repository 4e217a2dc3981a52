package import Cryptography
package import Domain
internal import Synchronization

/// A workspace's sealing key with the id under which it is stored.
package struct WorkspaceKey: Sendable {
    package let id: UInt32
    package let key: SealingKey
    /// The first bytes of its stored form, which are random: they tell it from a key that took its place when Redis was
    /// emptied. Empty for a key that is not stored.
    package let stamp: [UInt8]

    static let stampLength = 12

    package init(id: UInt32, key: SealingKey, stamp: [UInt8] = []) {
        self.id = id
        self.key = key
        self.stamp = stamp
    }
}

/// The keys of the workspaces, stored in the queue wrapped by the master key and kept open in memory.
///
/// A workspace's first submission makes its key; of two made at once the first stored wins. Destroying
/// the stored key makes all that was sealed under it unreadable.
package actor WorkspaceKeyring {
    private let queue: any JobStore
    private let master: SealingKey
    /// Beside the actor, because each job looks a key up twice and a hop costs more than the look.
    private nonisolated let opened = Mutex(Opened())

    private struct Opened {
        var keys: [WorkspaceID: [UInt32: WorkspaceKey]] = [:]
        /// Rises when all are let go of: what was asked for before is not kept then.
        var generation = 0
    }

    /// Keys kept in memory at most; the rest is read again when needed.
    private static let capacity = 10_000
    private static let currentID: UInt32 = 1

    /// `queue` keeps the wrapped keys.
    package init(queue: any JobStore, master: SealingKey) {
        self.queue = queue
        self.master = master
    }

    /// The key to seal with; makes and stores one for a new workspace. Throws
    /// `JobQueueError.wrongMasterKey` when the stored key was wrapped by another master key.
    package nonisolated func currentKey(of workspace: WorkspaceID) async throws -> WorkspaceKey {
        if let key = self.openedKey(Self.currentID, of: workspace) { return key }
        return try await self.makeKey(of: workspace)
    }

    private nonisolated func openedKey(_ id: UInt32, of workspace: WorkspaceID) -> WorkspaceKey? {
        self.opened.withLock { $0.keys[workspace]?[id] }
    }

    private func makeKey(of workspace: WorkspaceID) async throws -> WorkspaceKey {
        let fresh = try SealingKey.random()
        let wrapped = try fresh.wrapped(by: self.master, context: Self.context(workspace, Self.currentID))
        try await self.queue.storeKey(wrapped, id: Self.currentID, of: workspace)
        return try await self.key(id: Self.currentID, of: workspace)
    }

    /// The key of an id; throws `JobQueueError.unreadable` when there is none or the master key is wrong.
    package nonisolated func key(id: UInt32, of workspace: WorkspaceID) async throws -> WorkspaceKey {
        if let key = self.openedKey(id, of: workspace) { return key }
        return try await self.loadKey(id: id, of: workspace)
    }

    private func loadKey(id: UInt32, of workspace: WorkspaceID) async throws -> WorkspaceKey {
        let generation = self.opened.withLock { $0.generation }
        guard let stored = try await self.queue.wrappedKey(id, of: workspace) else {
            throw JobQueueError(code: .unreadable, message: "the workspace '\(workspace)' has no key \(id)")
        }
        do {
            let key = WorkspaceKey(
                id: id,
                key: try SealingKey(
                    unwrapping: stored, by: self.master, context: Self.context(workspace, id)),
                stamp: Array(stored.prefix(WorkspaceKey.stampLength)))
            self.opened.withLock { opened in
                guard opened.generation == generation else { return }
                if opened.keys.count >= Self.capacity { opened.keys.removeAll() }
                opened.keys[workspace, default: [:]][id] = key
            }
            return key
        } catch {
            throw JobQueueError(
                code: .wrongMasterKey,
                message:
                    "the key of workspace '\(workspace)' was wrapped by another master key; expected the ORCHESTRA_MASTER_KEY that first used this Redis"
            )
        }
    }

    /// Forgets a workspace's keys: the stored ones are others.
    package nonisolated func forget(_ workspace: WorkspaceID) {
        self.opened.withLock { opened in
            opened.keys[workspace] = nil
            opened.generation += 1
        }
    }

    /// Forgets all keys in memory: the stored ones may be others, because the queue was emptied.
    package nonisolated func forget() {
        self.opened.withLock { opened in
            opened.keys.removeAll()
            opened.generation += 1
        }
    }

    /// Throws `JobQueueError.wrongMasterKey` when another master key first used this Redis; the first to come
    /// leaves a fingerprint that tells nothing of the key.
    package func verifyMaster() async throws {
        let fingerprint = try self.master.derived(for: "orchestra/master-fingerprint/1")
        let stored = try await self.queue.masterFingerprint(own: fingerprint)
        guard Digests.areEqual(stored, fingerprint) else {
            throw JobQueueError(
                code: .wrongMasterKey,
                message: "this Redis was first used with another master key; expected that one in ORCHESTRA_MASTER_KEY")
        }
    }

    /// The key under which audit rows digest params.
    package func digestKey() throws -> [UInt8] { try self.master.derived(for: "orchestra/params-digest/1") }

    private static func context(_ workspace: WorkspaceID, _ id: UInt32) -> [UInt8] {
        Array("orchestra/workspace-key/\(workspace.name)/\(id)".utf8)
    }
}
