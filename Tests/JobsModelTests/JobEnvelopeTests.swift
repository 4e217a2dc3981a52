import Cryptography
import Domain
import JobsModel
import Testing

@testable import Jobs

@Suite("JobEnvelope")
struct JobEnvelopeTests {
    private struct Bench {
        let queue: InMemoryJobQueue
        let keys: WorkspaceKeyring
        let job: Job
        let envelope: [UInt8]

        init(deadline: UInt64? = nil, tags: [String] = []) async throws {
            self.queue = InMemoryJobQueue(limits: QueueLimits(), now: { 1 })
            self.keys = WorkspaceKeyring(
                queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: 3, count: 32)))
            self.job = Job(
                id: JobID(milliseconds: 77, randomHigh: 1, randomLow: 2), workspace: try WorkspaceID("acme"),
                action: try ActionName("shell.run"), requestID: RequestID(uuid: UUIDBytes(high: 5, low: 6)),
                actor: "key:1", submittedAt: 77, params: Array(#"{"note":"marker"}"#.utf8), deadline: deadline,
                tags: try tags.map { try JobTag($0) })
            self.envelope = try JobEnvelope.seal(self.job, with: try await self.keys.currentKey(of: self.job.workspace))
        }

        func open(_ envelope: [UInt8]? = nil, workspace: String = "acme", id: JobID?) async throws -> Job {
            let workspace = try WorkspaceID(workspace)
            return try await JobEnvelope.open(
                Delivery(
                    workspace: workspace, jobID: id,
                    entry: EntryReference(
                        workspace: workspace, priority: .normal, id: EntryID(milliseconds: 1, sequence: 0)),
                    envelope: envelope ?? self.envelope, crashes: 0, failures: 0, isRecovered: false), keys: self.keys)
        }

        /// The code with which it cannot be opened; nil when it can.
        func failure(_ envelope: [UInt8]? = nil, workspace: String = "acme", id: JobID?) async -> JobQueueError.Code? {
            do {
                _ = try await self.open(envelope, workspace: workspace, id: id)
                return nil
            } catch { return (error as? JobQueueError)?.code }
        }
    }

    @Test("a job is opened as it was sealed")
    func roundTrip() async throws {
        let bench = try await Bench()
        #expect(try await bench.open(id: bench.job.id) == bench.job)
    }

    @Test("deadline and tags are kept")
    func deadlineAndTags() async throws {
        let bench = try await Bench(deadline: 99, tags: ["red", "blue"])
        #expect(try await bench.open(id: bench.job.id) == bench.job)
    }

    @Test("the envelope begins with its version and the key's id")
    func header() async throws {
        let bench = try await Bench()
        #expect(bench.envelope.prefix(5) == [2, 0, 0, 0, 1])
    }

    @Test("the envelope shows nothing of the params, and two of one job differ")
    func opaque() async throws {
        let bench = try await Bench()
        #expect(!String(decoding: bench.envelope, as: UTF8.self).contains("marker"))
        let again = try JobEnvelope.seal(bench.job, with: try await bench.keys.currentKey(of: bench.job.workspace))
        #expect(again != bench.envelope)
    }

    @Test("an entry without a job id is unreadable")
    func withoutID() async throws {
        let bench = try await Bench()
        #expect(await bench.failure(id: nil) == .unreadable)
    }

    @Test("an envelope under another job's id is unreadable")
    func otherID() async throws {
        let bench = try await Bench()
        let other = JobID(milliseconds: 77, randomHigh: 1, randomLow: 3)
        #expect(await bench.failure(id: other) == .unreadable)
    }

    @Test("an envelope in another workspace is unreadable, also where that has a key")
    func otherWorkspace() async throws {
        let bench = try await Bench()
        #expect(await bench.failure(workspace: "other", id: bench.job.id) == .unreadable)
        _ = try await bench.keys.currentKey(of: try WorkspaceID("other"))
        #expect(await bench.failure(workspace: "other", id: bench.job.id) == .unreadable)
    }

    @Test("an envelope with any bit changed is unreadable")
    func damaged() async throws {
        let bench = try await Bench()
        for index in bench.envelope.indices {
            var damaged = bench.envelope
            damaged[index] ^= 0x10
            #expect(await bench.failure(damaged, id: bench.job.id) == .unreadable)
        }
    }

    @Test("an envelope cut at any length is unreadable")
    func cut() async throws {
        let bench = try await Bench()
        for length in bench.envelope.indices {
            #expect(await bench.failure(Array(bench.envelope.prefix(length)), id: bench.job.id) == .unreadable)
        }
    }

    @Test("a sealed result cannot be opened as a job, nor a job as a result")
    func purposes() async throws {
        let bench = try await Bench()
        let key = try await bench.keys.currentKey(of: bench.job.workspace)
        let sealed = try JobEnvelope.seal(
            result: [1, 2], workspace: bench.job.workspace, job: bench.job.id, with: key)
        #expect(await bench.failure(sealed, id: bench.job.id) == .unreadable)
        let opened = try await JobEnvelope.open(
            result: sealed, workspace: bench.job.workspace, job: bench.job.id, keys: bench.keys)
        #expect(opened == [1, 2])
        await #expect(throws: JobQueueError.self) {
            try await JobEnvelope.open(
                result: bench.envelope, workspace: bench.job.workspace, job: bench.job.id, keys: bench.keys)
        }
    }

    @Test("an outage of the key look-up is no unreadable entry")
    func outage() async throws {
        let bench = try await Bench()
        bench.keys.forget()
        await bench.queue.fail(.wrappedKey, with: JobQueueError(code: .unavailable, message: "away"))
        #expect(await bench.failure(id: bench.job.id) == .unavailable)
        #expect(await bench.failure(id: bench.job.id) == nil)
    }
}

@Suite("WorkspaceKeyring")
struct WorkspaceKeyringTests {
    private let queue = InMemoryJobQueue(limits: QueueLimits(), now: { 1 })

    private func keyring(_ byte: UInt8 = 3) throws -> WorkspaceKeyring {
        WorkspaceKeyring(queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: byte, count: 32)))
    }

    private func seal(_ key: WorkspaceKey) throws -> [UInt8] { try key.key.seal([1], authenticating: []) }
    private func opens(_ sealed: [UInt8], with key: WorkspaceKey) -> Bool {
        do { return try key.key.open(sealed[...], authenticating: []) == [1] } catch { return false }
    }

    @Test("a workspace's first use makes its key, and all nodes have the same one")
    func sameKey() async throws {
        let acme = try WorkspaceID("acme")
        let first = try await self.keyring().currentKey(of: acme)
        let second = try await self.keyring().currentKey(of: acme)
        let sealed = try self.seal(first)
        #expect(first.id == second.id && self.opens(sealed, with: second))
    }

    @Test("each workspace has a key of its own")
    func ownKeys() async throws {
        let keyring = try self.keyring()
        let acme = try await keyring.currentKey(of: try WorkspaceID("acme"))
        let other = try await keyring.currentKey(of: try WorkspaceID("other"))
        #expect(!self.opens(try self.seal(acme), with: other))
    }

    @Test("the stored key is wrapped: another master key does not open it")
    func otherMaster() async throws {
        let acme = try WorkspaceID("acme")
        _ = try await self.keyring(3).currentKey(of: acme)
        let error = await #expect(throws: JobQueueError.self) { try await self.keyring(4).currentKey(of: acme) }
        #expect(error?.code == .wrongMasterKey && error?.isPermanent == true)
    }

    @Test("a wrapped key does not open for another workspace")
    func moved() async throws {
        let keyring = try self.keyring()
        _ = try await keyring.currentKey(of: try WorkspaceID("acme"))
        let wrapped = try #require(try await self.queue.wrappedKey(1, of: try WorkspaceID("acme")))
        await self.queue.storeKey(wrapped, id: 1, of: try WorkspaceID("other"))
        let error = await #expect(throws: JobQueueError.self) {
            try await keyring.currentKey(of: try WorkspaceID("other"))
        }
        #expect(error?.code == .wrongMasterKey)
    }

    @Test("a key of an unknown id is unreadable")
    func unknownID() async throws {
        let keyring = try self.keyring()
        let error = await #expect(throws: JobQueueError.self) {
            try await keyring.key(id: 9, of: try WorkspaceID("acme"))
        }
        #expect(error?.code == .unreadable)
    }

    @Test("an open key is kept: the next use asks nothing")
    func kept() async throws {
        let keyring = try self.keyring()
        for _ in 0..<3 { _ = try await keyring.currentKey(of: try WorkspaceID("acme")) }
        #expect(await self.queue.count(of: .wrappedKey) == 1)
    }

    @Test("after `forget` the keys are read again, and may be others")
    func forget() async throws {
        let keyring = try self.keyring()
        let acme = try WorkspaceID("acme")
        let before = try await keyring.currentKey(of: acme)
        await self.queue.empty()
        #expect(self.opens(try self.seal(before), with: try await keyring.currentKey(of: acme)))
        keyring.forget()
        #expect(!self.opens(try self.seal(before), with: try await keyring.currentKey(of: acme)))
    }

    @Test("the first master key leaves its fingerprint, and another one is refused")
    func fingerprint() async throws {
        try await self.keyring(3).verifyMaster()
        try await self.keyring(3).verifyMaster()
        let error = await #expect(throws: JobQueueError.self) { try await self.keyring(4).verifyMaster() }
        #expect(error?.code == .wrongMasterKey)
    }
}
