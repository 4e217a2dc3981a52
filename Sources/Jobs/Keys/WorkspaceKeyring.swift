package import Cryptography
package import Domain
internal import Synchronization

/// The keys of the workspaces: stored in the queue, wrapped by the master key, and cached in memory.
///
/// The first submission of a workspace creates its key; when two processes create one at once, both use the one that was
/// stored first. Deleting the stored key makes everything that was sealed with it unreadable.
package actor WorkspaceKeyring {
    private let queue: any JobStore
    private let master: SealingKey
    /// Outside of the actor's isolation, because each job needs a key twice and a hop costs more than the lookup.
    private nonisolated let cache = Mutex(Cache())

    private struct Cache {
        var keys: [WorkspaceID: [UInt32: WorkspaceKey]] = [:]
        /// Increases when keys are discarded. A key that was read before that is not cached.
        var generation = 0
    }

    /// The maximum number of workspaces in the cache.
    private static let capacity = 10_000
    private static let currentID: UInt32 = 1

    /// Creates a keyring with an empty cache. `queue` stores the wrapped keys.
    package init(queue: any JobStore, master: SealingKey) {
        self.queue = queue
        self.master = master
    }

    /// Returns the key to seal with. Creates and stores one for a new workspace. Throws `JobQueueError`: `wrongMasterKey`
    /// when the stored key was wrapped by another master key.
    package nonisolated func currentKey(of workspace: WorkspaceID) async throws -> WorkspaceKey {
        if let key = self.cachedKey(Self.currentID, of: workspace) { return key }
        return try await self.makeKey(of: workspace)
    }

    private nonisolated func cachedKey(_ id: UInt32, of workspace: WorkspaceID) -> WorkspaceKey? {
        self.cache.withLock { $0.keys[workspace]?[id] }
    }

    private func makeKey(of workspace: WorkspaceID) async throws -> WorkspaceKey {
        let fresh = try SealingKey.random()
        let wrapped = try fresh.wrapped(by: self.master, context: Self.context(workspace, Self.currentID))
        try await self.queue.storeKey(wrapped, id: Self.currentID, of: workspace)
        return try await self.key(id: Self.currentID, of: workspace)
    }

    /// Returns the key with an ID. Throws `JobQueueError`: `unreadable` when there is none, `wrongMasterKey` when it was
    /// wrapped by another master key.
    package nonisolated func key(id: UInt32, of workspace: WorkspaceID) async throws -> WorkspaceKey {
        if let key = self.cachedKey(id, of: workspace) { return key }
        return try await self.loadKey(id: id, of: workspace)
    }

    private func loadKey(id: UInt32, of workspace: WorkspaceID) async throws -> WorkspaceKey {
        let generation = self.cache.withLock { $0.generation }
        guard let stored = try await self.queue.wrappedKey(id, of: workspace) else {
            throw JobQueueError(code: .unreadable, message: "the workspace '\(workspace)' has no stored key \(id)")
        }
        let digestKey = try self.master.derived(for: "orchestra/submission-digests/1/\(workspace.name)")
        do {
            let key = WorkspaceKey(
                id: id,
                key: try SealingKey(
                    unwrapping: stored, by: self.master, context: Self.context(workspace, id)),
                digestKey: digestKey,
                stamp: Array(stored.prefix(WorkspaceKey.stampLength)))
            self.cache.withLock { cache in
                guard cache.generation == generation else { return }
                if cache.keys.count >= Self.capacity { cache.keys.removeAll() }
                cache.keys[workspace, default: [:]][id] = key
            }
            return key
        } catch {
            throw JobQueueError(
                code: .wrongMasterKey,
                message:
                    "the key of workspace '\(workspace)' was wrapped by another master key; set ORCHESTRA_MASTER_KEY to the one that first used this Redis"
            )
        }
    }

    /// Discards the cached keys of a workspace, because the stored ones have changed.
    package nonisolated func forget(_ workspace: WorkspaceID) {
        self.cache.withLock { cache in
            cache.keys[workspace] = nil
            cache.generation += 1
        }
    }

    /// Discards all cached keys, because the queue may have been emptied or replaced.
    package nonisolated func forget() {
        self.cache.withLock { cache in
            cache.keys.removeAll()
            cache.generation += 1
        }
    }

    /// Checks that this process has the master key that first used this Redis. The first process stores a fingerprint, which
    /// does not reveal the key. Throws `JobQueueError`: `wrongMasterKey` when the fingerprint differs.
    package func verifyMaster() async throws {
        let fingerprint = try self.master.derived(for: "orchestra/master-fingerprint/1")
        let stored = try await self.queue.masterFingerprint(own: fingerprint)
        guard Digests.areEqual(stored, fingerprint) else {
            throw JobQueueError(
                code: .wrongMasterKey,
                message: "this Redis was first used with another master key; set ORCHESTRA_MASTER_KEY to that one")
        }
    }

    private static func context(_ workspace: WorkspaceID, _ id: UInt32) -> [UInt8] {
        Array("orchestra/workspace-key/\(workspace.name)/\(id)".utf8)
    }
}
