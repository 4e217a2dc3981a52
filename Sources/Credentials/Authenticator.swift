package import CoreMetrics
internal import Cryptography
package import Domain
package import Logging
internal import Synchronization

/// Checks API keys and tokens.
///
/// A key is hashed once; then a keyed digest of it is remembered for minutes. What is remembered holds only while the
/// store is polled for revocations each second: seconds after the polls fail nothing is accepted.
///
/// A key whose id is unknown, or whose checksum differs from the record's, is refused without a hash, so a flood of wrong
/// keys costs look-ups and delays no good key. Both cost the same time.
package final class Authenticator: Sendable {
    /// The time limits and bounds of an authenticator.
    package struct Configuration: Sendable {
        package var parameters = Argon2id.Parameters()
        /// How long a proved key is accepted without another hash.
        package var memory: Duration = .seconds(300)
        /// How long a wrong key is refused without another look-up.
        package var wrongMemory: Duration = .seconds(10)
        /// How long the last poll for revocations counts as current.
        package var freshness: Duration = .seconds(3)
        package var pollInterval: Duration = .seconds(1)
        /// Wrong keys of one address that are answered with a refusal at once, and then each second; more are `.busy`.
        package var wrongKeys = 60.0
        package var wrongKeysPerSecond = 10.0
        /// Credentials and addresses remembered at most, of each kind.
        package var capacity = 10_000

        /// Has the default of every setting.
        package init() {}
    }

    /// A key that was proved: its record as it was then, and how many changes had been noticed.
    private struct Known {
        let record: KeyRecord
        let until: ContinuousClock.Instant
        let generation: UInt64
    }

    private struct State {
        var known: [[UInt8]: Known] = [:]
        var wrong: [[UInt8]: ContinuousClock.Instant] = [:]
        var budget: WrongKeyBudget
        var uses: [String: UInt64] = [:]
        var epoch: UInt64?
        /// Rises with every change that was noticed.
        var generation: UInt64 = 0
        var syncedAt: ContinuousClock.Instant?
        var denials = DenyList()
    }

    private let configuration: Configuration
    private let store: CredentialStore
    private let tokens: TokenVerifier?
    private let pool: HashingPool
    private let digestKey: [UInt8]
    private let state: Mutex<State>
    private let checks = SharedRuns<[UInt8], Authentication>()
    private let polls = SharedRuns<Int, Bool>()
    private let clock: @Sendable () -> ContinuousClock.Instant
    /// Milliseconds since the epoch.
    private let now: @Sendable () -> UInt64
    private let logger: Logger
    private let results: [String: Counter]

    private static let refusal = "the key is unknown, wrong, expired or revoked"

    /// Makes a fresh digest key, so nothing remembered outlives this instance; throws `CryptographyError` when there
    /// are no random bytes. `now` returns milliseconds since the epoch; without `tokens` only API keys are accepted.
    package init(
        configuration: Configuration = Configuration(), store: CredentialStore, tokens: TokenVerifier?,
        pool: HashingPool, now: @escaping @Sendable () -> UInt64,
        clock: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, logger: Logger
    ) throws {
        self.configuration = configuration
        self.store = store
        self.tokens = tokens
        self.pool = pool
        self.digestKey = try Digests.randomBytes(count: 32)
        self.state = Mutex(
            State(
                budget: WrongKeyBudget(
                    burst: configuration.wrongKeys, perSecond: configuration.wrongKeysPerSecond,
                    capacity: configuration.capacity)))
        self.now = now
        self.clock = clock
        self.logger = logger
        var results: [String: Counter] = [:]
        for method in ["key", "token", "none"] {
            for result in ["accepted", "refused", "busy", "unavailable"] {
                results["\(method) \(result)"] = Counter(
                    label: "orchestra_auth_total", dimensions: [("method", method), ("result", result)],
                    factory: metrics)
            }
        }
        self.results = results
    }

    // MARK: - Revocations

    /// Polls the store for revocations until it is cancelled; throws `CancellationError` then.
    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        while true {
            if await !self.synchronize() { self.logger.debug("revocations cannot be read now") }
            heartbeat()
            try await clock.sleep(for: self.configuration.pollInterval)
        }
    }

    /// Polls the store; concurrent callers share one poll. False when the store did not answer.
    private func synchronize() async -> Bool {
        await self.polls.value(of: 0) {
            do { try await self.readChanges() } catch { return false }
            return true
        }
    }

    private func readChanges() async throws {
        // The answer is as old as the request.
        let time = self.clock()
        let epoch = try await self.store.epoch()
        if self.state.withLock({ $0.epoch }) != epoch {
            // Read after the epoch: a change in between raises it again, and this is done again.
            let denials = DenyList(try await self.store.allDenials(), now: self.now() / 1000)
            self.state.withLock { state in
                state.epoch = epoch
                state.generation += 1
                state.denials = denials
                state.wrong = [:]
            }
        }
        self.state.withLock { $0.syncedAt = time }
    }

    /// False when neither the last poll nor one now gives the current revocations.
    private func isFresh() async -> Bool {
        let time = self.clock()
        let synced = self.state.withLock { $0.syncedAt }
        if let synced, time - synced <= self.configuration.freshness { return true }
        return await self.synchronize()
    }

    // MARK: - Checking

    /// Counts a request that came without a usable credential.
    package func countMissingCredential() { self.results["none refused"]?.increment() }

    /// Checks the credential of an `Authorization: Bearer` header of a request from `address`.
    package func authenticate(_ credential: Substring, from address: String) async -> Authentication {
        let isKey = credential.hasPrefix(APIKey.prefix)
        let method = credential.isEmpty ? "none" : isKey ? "key" : "token"
        let answer: Authentication
        if await self.isFresh() {
            answer =
                isKey ? await self.judgeKey(credential, address) : self.judge(await self.judgeToken(credential))
        } else {
            answer = .unavailable(reason: "revocations cannot be read: the store does not answer")
        }
        let result =
            switch answer {
            case .accepted: "accepted"
            case .refused: "refused"
            case .busy: "busy"
            case .unavailable: "unavailable"
            }
        self.results["\(method) \(result)"]?.increment()
        return answer
    }

    /// Whether an accepted credential is still good, for connections that outlive their request.
    package enum CredentialStatus: Sendable, Equatable {
        /// It was good at this generation; pass it with the next call.
        case good(generation: UInt64)
        /// It expired or was revoked.
        case over
        /// The store did not answer.
        case unknown
    }

    /// The status of a principal's credential. `generation` is that of the last answer: without a change since then
    /// nothing is read.
    package func standing(of principal: Principal, since generation: UInt64?) async -> CredentialStatus {
        if let expires = principal.expiresAt, self.now() / 1000 >= expires { return .over }
        guard await self.isFresh() else { return .unknown }
        let current = self.state.withLock { $0.generation }
        if generation == current { return .good(generation: current) }
        switch principal.credential {
        case .key(let id):
            do {
                guard let found = try await self.store.record(id) else { return .over }
                let isGood = found.isGood(at: self.now()) && found.principal == principal
                return isGood ? .good(generation: current) : .over
            } catch {
                return .unknown
            }
        case .token(let id, let issuedAt):
            let isDenied = self.state.withLock {
                $0.denials.denies(id: id, subject: principal.subject, issuedAt: issuedAt)
            }
            return isDenied ? .over : .good(generation: current)
        }
    }

    private func judgeToken(_ text: Substring) async -> Authentication {
        guard let tokens = self.tokens else { return .refused(reason: "no issuer of tokens is configured") }
        return await tokens.verify(text, now: self.now() / 1000)
    }

    private func judge(_ answer: Authentication) -> Authentication {
        guard case .accepted(let principal) = answer, case .token(let id, let issuedAt) = principal.credential else {
            return answer
        }
        let isDenied = self.state.withLock {
            $0.denials.denies(id: id, subject: principal.subject, issuedAt: issuedAt)
        }
        return isDenied ? .refused(reason: "the token was revoked") : answer
    }

    private func judgeKey(_ text: Substring, _ address: String) async -> Authentication {
        guard let key = APIKey(text) else { return .refused(reason: "it has the prefix of a key and is malformed") }
        let digest: [UInt8]
        do { digest = try Digests.hmacSHA256(key: self.digestKey, Array(text.utf8)) } catch {
            return .unavailable(reason: "the key cannot be digested: \(error)")
        }
        let time = self.clock()
        let (record, isWrong) = self.state.withLock { state -> (KeyRecord?, Bool) in
            let known = state.known[digest].flatMap { $0.until > time ? $0 : nil }
            let current = known.flatMap { $0.generation == state.generation ? $0.record : nil }
            return (current, state.wrong[digest].map { $0 > time } ?? false)
        }
        if let record { return self.accept(record) }
        if isWrong { return .refused(reason: Self.refusal) }
        // Concurrent requests with one key that is not known yet share one check.
        let answer = await self.checks.value(of: digest) { await self.check(key, digest, address) }
        guard case .refused = answer else { return answer }
        return self.refuse(address, at: time)
    }

    /// The answer to a wrong key; it counts against the address.
    private func refuse(_ address: String, at time: ContinuousClock.Instant) -> Authentication {
        self.state.withLock { $0.budget.charge(address, at: time) } ? .refused(reason: Self.refusal) : .busy
    }

    private func accept(_ record: KeyRecord) -> Authentication {
        guard record.isGood(at: self.now()) else { return .refused(reason: Self.refusal) }
        self.noteUse(of: record)
        return .accepted(record.principal)
    }

    /// Reads the record and hashes a key that fits its checksum. A key that was proved before only has its record read
    /// again.
    private func check(_ key: APIKey, _ digest: [UInt8], _ address: String) async -> Authentication {
        let time = self.clock()
        let proof = self.state.withLock { $0.known[digest].flatMap { $0.until > time ? $0 : nil } }
        do {
            let generation = self.state.withLock { $0.generation }
            let record = try await self.store.record(key.id)
            if let proof, let record, proof.record.hash == record.hash {
                return self.remember(record, digest, until: proof.until, generation)
            }
            let checksum = try key.checksum()
            guard let record, record.checksum ?? checksum == checksum else { return self.rememberWrong(digest) }
            // Records of before checksums: only the hash decides, and an address has a budget of those.
            guard record.checksum != nil || self.state.withLock({ $0.budget.hasLeft(address, at: time) }) else {
                return .busy
            }
            let (hash, secret) = (record.hash, key.secret)
            guard let verdict = await self.pool.run({ Argon2id.check(secret, against: hash) }), let isRight = verdict
            else { return .busy }
            guard isRight else { return self.rememberWrong(digest) }
            // It may have been revoked while it waited for the hash.
            let later = self.state.withLock { $0.generation }
            guard let record = try await self.store.record(key.id), record.hash == hash else {
                return self.rememberWrong(digest)
            }
            self.rehash(record, key, checksum)
            // Spread, so that keys which were proved together are not proved together again.
            let memory = self.configuration.memory * Double.random(in: 0.8...1)
            return self.remember(record, digest, until: self.clock() + memory, later)
        } catch {
            return .unavailable(reason: "keys cannot be read: the store does not answer")
        }
    }

    private func rememberWrong(_ digest: [UInt8]) -> Authentication {
        let end = self.clock() + self.configuration.wrongMemory
        self.state.withLock { state in
            if state.wrong.count >= self.configuration.capacity { state.wrong = [:] }
            state.wrong[digest] = end
        }
        return .refused(reason: Self.refusal)
    }

    private func remember(
        _ record: KeyRecord, _ digest: [UInt8], until: ContinuousClock.Instant, _ generation: UInt64
    ) -> Authentication {
        guard record.isGood(at: self.now()) else { return self.rememberWrong(digest) }
        self.state.withLock { state in
            if state.known.count >= self.configuration.capacity, let any = state.known.keys.first {
                state.known[any] = nil
            }
            state.known[digest] = Known(record: record, until: until, generation: generation)
        }
        return self.accept(record)
    }

    /// Replaces a hash that was made under other parameters, and adds a checksum that is missing.
    private func rehash(_ record: KeyRecord, _ key: APIKey, _ checksum: String) {
        let (parameters, pool, store, logger) = (
            self.configuration.parameters, self.pool, self.store, self.logger
        )
        guard !Argon2id.isCurrent(record.hash, parameters) || record.checksum == nil else { return }
        // Once for each key and change of parameters.
        self.afterwards {
            do {
                let secret = key.secret
                let made = await pool.run { Result { try Argon2id.hash(secret, parameters: parameters) } }
                guard let made else { return }  // the pool is full; the next use tries again
                try await store.replaceHash(of: record, with: try made.get(), checksum: checksum)
            } catch {
                logger.warning(
                    "a key could not be hashed again", error: error, metadata: ["credential.id": "\(record.id)"])
            }
        }
    }

    /// Stores the time of use, once a minute for each key; a failure is only logged.
    private func noteUse(of record: KeyRecord) {
        let now = self.now()
        let isDue = self.state.withLock { state in
            guard now - min(now, state.uses[record.id] ?? record.usedAt) >= 60_000 else { return false }
            if state.uses.count >= self.configuration.capacity { state.uses = [:] }
            state.uses[record.id] = now
            return true
        }
        guard isDue else { return }
        let (store, logger) = (self.store, self.logger)
        // At most one a minute and key.
        self.afterwards {
            do { try await store.noteUse(record.id, at: now) } catch {
                logger.debug("the use of a key could not be noted", error: error)
            }
        }
    }

    /// Runs what no request waits for; it ends with its calls to Redis, which have a deadline.
    private func afterwards(_ work: @escaping @Sendable () async -> Void) { Task { await work() } }
}
