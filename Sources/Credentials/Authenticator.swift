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
        package var freshness: Duration = .seconds(4)
        package var pollInterval: Duration = .seconds(1)
        /// Credentials remembered at most, of each sort.
        package var capacity = 10_000

        package init() {}
    }

    private struct Known {
        let record: KeyRecord
        let until: ContinuousClock.Instant
    }

    private struct State {
        var known: [[UInt8]: Known] = [:]
        var wrong: [[UInt8]: ContinuousClock.Instant] = [:]
        var checks: [[UInt8]: Task<Authentication, Never>] = [:]
        var uses: [String: UInt64] = [:]
        var epoch: UInt64?
        var syncedAt: ContinuousClock.Instant?
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
            do { try await self.synchronize() } catch is CancellationError {
                throw CancellationError()
            } catch {
                self.logger.debug("revocations cannot be read now", error: error)
            }
            heartbeat()
            try await clock.sleep(for: self.configuration.pollInterval)
        }
    }

    private func synchronize() async throws {
        let epoch = try await self.store.epoch()
        if self.state.withLock({ $0.epoch }) != epoch {
            // Read after the epoch: a change in between raises it again, and this is done again.
            let denials = DenyList(try await self.store.allDenials())
            self.state.withLock { state in
                state.epoch = epoch
                state.denials = denials
                state.known = [:]
                state.wrong = [:]
            }
        }
        let time = self.clock()
        self.state.withLock { $0.syncedAt = time }
    }

    /// Throws when neither the poll nor an attempt now tells what was revoked.
    private func makeFresh() async throws {
        let time = self.clock()
        let synced = self.state.withLock { $0.syncedAt }
        if let synced, time - synced <= self.configuration.freshness { return }
        try await self.synchronize()
    }

    /// Rises whenever something that was accepted may have been revoked.
    package var epoch: UInt64 { self.state.withLock { $0.epoch ?? 0 } }

    // MARK: - Judging

    /// Judges the credential of an `Authorization: Bearer` header.
    package func authenticate(_ credential: Substring) async -> Authentication {
        let isKey = credential.hasPrefix(APIKey.prefix)
        let method = credential.isEmpty ? "none" : isKey ? "key" : "token"
        let answer: Authentication
        do {
            try await self.makeFresh()
            answer = isKey ? await self.judgeKey(credential) : self.judge(await self.judgeToken(credential))
        } catch {
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

    /// Whether one that was accepted still is; for connections that outlive their request.
    package func isStillGood(_ principal: Principal) async -> Bool {
        if let expires = principal.expiresAt, self.now() / 1000 >= expires { return false }
        do {
            try await self.makeFresh()
            switch principal.credential {
            case .key(let id):
                guard let record = try await self.store.record(id) else { return false }
                return record.isGood(at: self.now()) && record.principal == principal
            case .token(let id, let issuedAt):
                return self.state.withLock {
                    !$0.denials.denies(id: id, subject: principal.subject, issuedAt: issuedAt)
                }
            }
        } catch {
            return false
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

    private func judgeKey(_ text: Substring) async -> Authentication {
        guard let key = APIKey(text), let digest = try? Digests.hmacSHA256(key: self.digestKey, Array(text.utf8)) else {
            return .refused(reason: "it begins like a key and is none")
        }
        let time = self.clock()
        let (record, isWrong) = self.state.withLock { state -> (KeyRecord?, Bool) in
            let known = state.known[digest].flatMap { $0.until > time ? $0.record : nil }
            return (known, state.wrong[digest].map { $0 > time } ?? false)
        }
        if let record { return self.accept(record) }
        if isWrong { return .refused(reason: Self.refusal) }
        // Many requests with one key that is not known yet wait for one check.
        let check = self.state.withLock { state in
            if let check = state.checks[digest] { return check }
            let check = Task {  // awaited below by whoever asked, and ends with its check
                let answer = await self.check(key, digest)
                _ = self.state.withLock { $0.checks.removeValue(forKey: digest) }
                return answer
            }
            state.checks[digest] = check
            return check
        }
        return await check.value
    }

    private func accept(_ record: KeyRecord) -> Authentication {
        guard record.isGood(at: self.now()) else { return .refused(reason: Self.refusal) }
        self.noteUse(of: record)
        return .accepted(record.principal)
    }

    /// Reads and hashes; the same work for keys that are unknown, wrong, expired and revoked.
    private func check(_ key: APIKey, _ digest: [UInt8]) async -> Authentication {
        let epoch = self.state.withLock { $0.epoch }
        let record: KeyRecord?
        do { record = try await self.store.record(key.id) } catch {
            return .unavailable(reason: "keys cannot be read: the store does not answer")
        }
        let (hash, secret, parameters) = (record?.hash ?? self.decoy, key.secret, self.configuration.parameters)
        guard let isRight = await self.pool.run({ Argon2id.verify(secret, against: hash) }) else { return .busy }
        let time = self.clock()
        guard isRight, let record, record.isGood(at: self.now()) else {
            self.state.withLock { state in
                if state.wrong.count >= self.configuration.capacity { state.wrong = [:] }
                state.wrong[digest] = time + self.configuration.wrongMemory
            }
            return .refused(reason: Self.refusal)
        }
        self.state.withLock { state in
            // Something was changed meanwhile, perhaps this: it is looked at again next time.
            guard state.epoch == epoch else { return }
            if state.known.count >= self.configuration.capacity { state.known = [:] }
            state.known[digest] = Known(record: record, until: time + self.configuration.memory)
        }
        if !Argon2id.isCurrent(hash, parameters) { await self.rehash(record, secret, parameters) }
        return self.accept(record)
    }

    private func rehash(_ record: KeyRecord, _ secret: [UInt8], _ parameters: Argon2id.Parameters) async {
        guard let hash = await self.pool.run({ try? Argon2id.hash(secret, parameters: parameters) }) ?? nil else {
            return
        }
        do { try await self.store.replaceHash(of: record, with: hash) } catch {
            self.logger.warning("a key could not be hashed anew", error: error, metadata: ["key.id": "\(record.id)"])
        }
    }

    /// Once a minute for each key; of no importance when it fails.
    private func noteUse(of record: KeyRecord) {
        let now = self.now()
        let isDue = self.state.withLock { state in
            guard now >= (state.uses[record.id] ?? record.usedAt) + 60_000 else { return false }
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
