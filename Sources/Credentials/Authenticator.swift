package import CoreMetrics
internal import Cryptography
package import Domain
package import Logging
internal import Synchronization

/// What a credential turned out to be.
package enum Authentication: Sendable, Hashable {
    case accepted(Principal)
    /// The one answer for all that are refused is made of this; the reason is for the audit trail alone.
    case refused(reason: String)
    /// Too many credentials are being checked.
    case busy
    /// Whether it still holds cannot be known now.
    case unavailable(reason: String)
}

/// Tells who a request is from.
///
/// A key is hashed once; then a keyed digest of it is remembered for minutes. What is remembered holds only while the
/// store is asked each second whether something was revoked: seconds after that stops nothing is accepted.
package final class Authenticator: Sendable {
    package struct Configuration: Sendable {
        package var parameters = Argon2id.Parameters()
        /// How long a key that was proved is believed.
        package var memory: Duration = .seconds(300)
        /// How long a wrong one is refused without another look.
        package var wrongMemory: Duration = .seconds(10)
        /// How long what is known of revocations counts as fresh.
        package var freshness: Duration = .seconds(3)
        package var pollInterval: Duration = .seconds(1)
        /// Wrong keys that one address may try at once, and then each second: half of what one thread can check.
        package var wrongKeys = 60.0
        package var wrongKeysPerSecond = 10.0
        /// Credentials remembered at most, of each sort.
        package var capacity = 10_000

        package init() {}
    }

    /// A key that was proved: its record as it was then, and how many changes had been noticed.
    private struct Known {
        let record: KeyRecord
        let until: ContinuousClock.Instant
        let generation: UInt64
    }

    /// Wrong keys that an address may still try before its next are not even looked at.
    private struct Budget {
        var left: Double
        var at: ContinuousClock.Instant
    }

    private struct State {
        var known: [[UInt8]: Known] = [:]
        var wrong: [[UInt8]: ContinuousClock.Instant] = [:]
        var checks: [[UInt8]: Task<Authentication, Never>] = [:]
        var budgets: [String: Budget] = [:]
        var uses: [String: UInt64] = [:]
        var epoch: UInt64?
        /// Rises with every change that was noticed.
        var generation: UInt64 = 0
        var syncedAt: ContinuousClock.Instant?
        var sync: Task<Bool, Never>?
        var denials = DenyList()
    }

    private let configuration: Configuration
    private let store: CredentialStore
    private let tokens: TokenVerifier?
    private let pool: HashingPool
    private let digestKey: [UInt8]
    /// Of nobody's secret, so that unknown ids cost what known ones do.
    private let decoy: String
    private let state = Mutex(State())
    private let clock: @Sendable () -> ContinuousClock.Instant
    /// Milliseconds since the epoch.
    private let now: @Sendable () -> UInt64
    private let logger: Logger
    private let results: [String: Counter]

    private static let refusal = "the key is unknown, wrong, expired or revoked"

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
        self.decoy = try Argon2id.hash(try Digests.randomBytes(count: 52), parameters: configuration.parameters)
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

    // MARK: - Following the store

    /// Asks the store for changes until it is cancelled.
    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        while true {
            if await !self.synchronize() { self.logger.debug("revocations cannot be read now") }
            heartbeat()
            try await clock.sleep(for: self.configuration.pollInterval)
        }
    }

    /// One question at a time, whoever asks; false when it was not answered.
    private func synchronize() async -> Bool {
        let task = self.state.withLock { state in
            if let task = state.sync { return task }
            let task = Task {  // awaited by everyone who asks meanwhile
                let isDone: Bool
                do {
                    try await self.readChanges()
                    isDone = true
                } catch {
                    isDone = false
                }
                self.state.withLock { $0.sync = nil }
                return isDone
            }
            state.sync = task
            return task
        }
        return await task.value
    }

    private func readChanges() async throws {
        // What is read is as old as the question.
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

    /// False when neither the poll nor a question now tells what was revoked.
    private func isFresh() async -> Bool {
        let time = self.clock()
        let synced = self.state.withLock { $0.syncedAt }
        if let synced, time - synced <= self.configuration.freshness { return true }
        return await self.synchronize()
    }

    // MARK: - Judging

    /// Counts a request that came without a usable credential.
    package func countMissingCredential() { self.results["none refused"]?.increment() }

    /// Judges the credential of an `Authorization: Bearer` header that came from `address`.
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

    /// Whether one that was accepted still is, for connections that outlive their request.
    package enum CredentialStatus: Sendable, Equatable {
        /// As of a generation, to be given back with the next question.
        case good(generation: UInt64)
        case over
        /// It cannot be known now.
        case unknown
    }

    /// `generation` is that of the last answer: while nothing was changed since, nothing is read.
    package func standing(of principal: Principal, since generation: UInt64?) async -> CredentialStatus {
        if let expires = principal.expiresAt, self.now() / 1000 >= expires { return .over }
        guard await self.isFresh() else { return .unknown }
        let current = self.state.withLock { $0.generation }
        if generation == current { return .good(generation: current) }
        switch principal.credential {
        case .key(let id):
            guard let found = try? await self.store.record(id) else {
                return await self.synchronize() ? .over : .unknown
            }
            let isGood = found.isGood(at: self.now()) && found.principal == principal
            return isGood ? .good(generation: current) : .over
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
        guard let key = APIKey(text), let digest = try? Digests.hmacSHA256(key: self.digestKey, Array(text.utf8)) else {
            return .refused(reason: "it begins like a key and is none")
        }
        let time = self.clock()
        let (record, isWrong, isProved) = self.state.withLock { state -> (KeyRecord?, Bool, Bool) in
            let known = state.known[digest].flatMap { $0.until > time ? $0 : nil }
            let current = known.flatMap { $0.generation == state.generation ? $0.record : nil }
            return (current, state.wrong[digest].map { $0 > time } ?? false, known != nil)
        }
        if let record { return self.accept(record) }
        if isWrong { return .refused(reason: Self.refusal) }
        let isOverBudget = !isProved && !self.mayTry(address, at: time)
        if isOverBudget {
            // Wrong keys must not lock out a good one of the same address. One that exists is checked nevertheless,
            // within a budget of its own; its ID cannot be guessed.
            do {
                guard self.mayTry("\(address) \(key.id)", at: time), try await self.store.record(key.id) != nil else {
                    return .busy
                }
            } catch {
                return .unavailable(reason: "keys cannot be read: the store does not answer")
            }
        }
        // Many requests with one key that is not known yet wait for one check.
        let check = self.state.withLock { state in
            if let check = state.checks[digest] { return check }
            let check = Task {  // awaited below by whoever asked, and ends with its check
                let answer = await self.check(key, digest)
                self.state.withLock { state in
                    state.checks[digest] = nil
                    if case .refused = answer {
                        self.charge(isOverBudget ? "\(address) \(key.id)" : address, at: time, &state)
                    }
                }
                return answer
            }
            state.checks[digest] = check
            return check
        }
        return await check.value
    }

    private func mayTry(_ address: String, at time: ContinuousClock.Instant) -> Bool {
        self.state.withLock { self.budget(address, at: time, $0).left >= 1 }
    }

    private func budget(_ address: String, at time: ContinuousClock.Instant, _ state: State) -> Budget {
        let limit = self.configuration.wrongKeys
        guard let budget = state.budgets[address] else { return Budget(left: limit, at: time) }
        let passed = Double((time - budget.at).components.seconds)
        return Budget(
            left: min(limit, budget.left + passed * self.configuration.wrongKeysPerSecond),
            at: passed > 0 ? time : budget.at)
    }

    private func charge(_ address: String, at time: ContinuousClock.Instant, _ state: inout State) {
        var budget = self.budget(address, at: time, state)
        budget.left -= 1
        if state.budgets.count >= self.configuration.capacity { state.budgets = [:] }
        state.budgets[address] = budget
    }

    private func accept(_ record: KeyRecord) -> Authentication {
        guard record.isGood(at: self.now()) else { return .refused(reason: Self.refusal) }
        self.noteUse(of: record)
        return .accepted(record.principal)
    }

    /// Reads and hashes; the same work for keys that are unknown, wrong, expired and revoked. One that was proved before
    /// only has its record read again.
    private func check(_ key: APIKey, _ digest: [UInt8]) async -> Authentication {
        let time = self.clock()
        let proof = self.state.withLock { $0.known[digest].flatMap { $0.until > time ? $0 : nil } }
        do {
            let generation = self.state.withLock { $0.generation }
            let record = try await self.store.record(key.id)
            if let proof, let record, proof.record.hash == record.hash {
                return self.remember(record, digest, until: proof.until, generation)
            }
            let (hash, secret) = (record?.hash ?? self.decoy, key.secret)
            // Keys that do not exist take half of the places at most.
            let check = await self.pool.run(isReserved: record != nil) { Argon2id.check(secret, against: hash) }
            guard let verdict = check, let isRight = verdict else { return .busy }
            guard isRight, record != nil else { return self.refuse(digest) }
            // It waited for its turn: it may have been revoked meanwhile.
            let later = self.state.withLock { $0.generation }
            guard let record = try await self.store.record(key.id), record.hash == hash else {
                return self.refuse(digest)
            }
            self.rehash(record, secret)
            // Spread, so that keys which were proved together are not proved together again.
            let memory = self.configuration.memory * Double.random(in: 0.8...1)
            return self.remember(record, digest, until: self.clock() + memory, later)
        } catch {
            return .unavailable(reason: "keys cannot be read: the store does not answer")
        }
    }

    private func refuse(_ digest: [UInt8]) -> Authentication {
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
        guard record.isGood(at: self.now()) else { return self.refuse(digest) }
        self.state.withLock { state in
            if state.known.count >= self.configuration.capacity, let any = state.known.keys.first {
                state.known[any] = nil
            }
            state.known[digest] = Known(record: record, until: until, generation: generation)
        }
        return self.accept(record)
    }

    private func rehash(_ record: KeyRecord, _ secret: [UInt8]) {
        let (parameters, pool, store, logger) = (
            self.configuration.parameters, self.pool, self.store, self.logger
        )
        guard !Argon2id.isCurrent(record.hash, parameters) else { return }
        Task {  // nobody waits for it; once for each key and change of parameters
            guard let made = await pool.run({ try? Argon2id.hash(secret, parameters: parameters) }), let hash = made
            else { return }
            do { try await store.replaceHash(of: record, with: hash) } catch {
                logger.warning("a key could not be hashed anew", error: error, metadata: ["key.id": "\(record.id)"])
            }
        }
    }

    /// Once a minute for each key; of no importance when it fails.
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
        Task {  // nobody waits for it; bounded by one a minute and key
            do { try await store.noteUse(record.id, at: now) } catch {
                logger.debug("the use of a key could not be noted", error: error)
            }
        }
    }
}
