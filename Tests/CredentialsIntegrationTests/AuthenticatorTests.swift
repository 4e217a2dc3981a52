import Domain
import Foundation
import Logging
import NIOPosix
import Redis
import Synchronization
import TestSupport
import Testing

@testable import Credentials

/// An authenticator on a real Redis, with a clock of the test's.
private struct AuthenticatorBench: Sendable {
    let authenticator: Authenticator
    let store: CredentialStore
    let client: RedisClient
    let redis: TestRedis
    let now: TestTime
    let pool: HashingPool
    let workspace: WorkspaceID

    /// Milliseconds since the epoch, and the instant that goes with it.
    final class TestTime: Sendable {
        private let offset = Mutex<Duration>(.zero)
        private let start = ContinuousClock.now
        var instant: ContinuousClock.Instant { self.start + self.offset.withLock { $0 } }
        var milliseconds: UInt64 {
            1_800_000_000_000 + UInt64(clamping: self.offset.withLock { $0 }.components.seconds) * 1000
        }
        func advance(_ duration: Duration) { self.offset.withLock { $0 += duration } }
    }

    static let cheap = Argon2id.Parameters(memoryKiB: 64, iterations: 1, lanes: 1)
    static let proofKey = [UInt8](repeating: 9, count: 32)

    static func with(
        threads: Int = 1, limit: Int = 64, parameters: Argon2id.Parameters = cheap,
        _ body: @escaping @Sendable (AuthenticatorBench) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                let client = RedisClient(configuration: redis.configuration, group: .singleton, logger: quiet)
                let store = CredentialStore(client: client, prefix: "orc:{l0}:auth:", proofKey: Self.proofKey)
                let time = TestTime()
                let pool = HashingPool(threads: threads, limit: limit)
                defer { pool.stop() }
                var configuration = Authenticator.Configuration()
                configuration.parameters = parameters
                let bench = AuthenticatorBench(
                    authenticator: try Authenticator(
                        configuration: configuration, store: store, tokens: nil, pool: pool,
                        now: { time.milliseconds }, clock: { time.instant }, logger: quiet),
                    store: store, client: client, redis: redis, now: time, pool: pool,
                    workspace: try WorkspaceID("acme"))
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    group.addTask {
                        await client.run()
                        return false
                    }
                    group.addTask {
                        try await body(bench)
                        return true
                    }
                    defer { group.cancelAll() }
                    while let isDone = try await group.next(), !isDone {}
                }
            }
        }
    }

    func key(
        lifetime: Duration? = .seconds(3600), parameters: Argon2id.Parameters = cheap
    ) async throws -> (APIKey, KeyRecord) {
        let made = try KeyRecord.fresh(
            in: self.workspace, roles: [try DefinitionName("developer")], label: "ci", lifetime: lifetime,
            at: self.now.milliseconds, parameters: parameters)
        try await self.store.add(made.1)
        return made
    }

    func principal(_ text: String) async -> Principal? {
        guard case .accepted(let principal) = await self.authenticator.authenticate(text[...], from: "a") else {
            return nil
        }
        return principal
    }

    /// As a poll would notice.
    func pass(_ duration: Duration = .seconds(5)) { self.now.advance(duration) }
}

@Suite("API keys", .serialized)
struct AuthenticatorTests {
    @Test("a key opens its workspace in its role, and nothing else does")
    func accepts() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, record) = try await bench.key()
            let principal = try #require(await bench.principal(key.text))
            #expect(principal.workspace == bench.workspace)
            #expect(principal.roles.map(\.name) == ["developer"])
            #expect(principal.actor == "key:\(record.id)")
            #expect(await bench.principal(key.text) == principal, "remembered")
            var other = try APIKey.random().text
            #expect(await bench.principal(other) == nil, "unknown")
            other = String(key.text.dropLast()) + (key.text.hasSuffix("a") ? "b" : "a")
            #expect(await bench.principal(other) == nil, "wrong secret")
            for text in [
                "", "relay_sk_", key.text + "a", key.text.uppercased(), " " + key.text, "relay_sk_\(record.id)_",
            ] {
                #expect(await bench.principal(text) == nil, "'\(text)'")
            }
        }
    }

    @Test("unknown, wrong, expired and revoked keys get one answer")
    func oneAnswer() async throws {
        try await AuthenticatorBench.with { bench in
            let (good, _) = try await bench.key()
            let (expired, _) = try await bench.key(lifetime: .seconds(1))
            let (revoked, record) = try await bench.key()
            try await bench.store.revoke(record, at: bench.now.milliseconds)
            bench.pass()
            let wrong = String(good.text.dropLast(4)) + "2222"
            var answers: Set<Authentication> = []
            for text in [try APIKey.random().text, wrong, expired.text, revoked.text] {
                answers.insert(await bench.authenticator.authenticate(text[...], from: "a"))
            }
            #expect(answers.count == 1)
            guard case .refused? = answers.first else { return #expect(Bool(false), "not refused") }
        }
    }

    @Test("a revoked key is refused as soon as the store was asked again, and its connections are notified")
    func revocation() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, record) = try await bench.key()
            let principal = try #require(await bench.principal(key.text))
            guard case .good(let generation) = await bench.authenticator.standing(of: principal, since: nil) else {
                return #expect(Bool(false), "it does not stand")
            }
            #expect(
                await bench.authenticator.standing(of: principal, since: generation) == .good(generation: generation))
            try await bench.store.revoke(record, at: bench.now.milliseconds)
            bench.pass()
            #expect(await bench.principal(key.text) == nil)
            #expect(await bench.authenticator.standing(of: principal, since: nil) == .over)
        }
    }

    @Test("a change of another key costs no second hash: the record is read again and the proof still holds")
    func changesElsewhere() async throws {
        try await AuthenticatorBench.with(limit: 1) { bench in
            let (key, record) = try await bench.key()
            #expect(await bench.principal(key.text) != nil)
            _ = try await bench.key()
            bench.pass()
            bench.pool.stop()
            #expect(await bench.principal(key.text) != nil, "proved before; nothing can be hashed any more")
            try await bench.store.revoke(record, at: bench.now.milliseconds)
            bench.pass()
            #expect(await bench.principal(key.text) == nil)
        }
    }

    @Test("wrong keys spend the budget of their address, and a good key is served next to them")
    func budget() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, _) = try await bench.key()
            var busy = 0
            for _ in 0..<80 {
                let wrong = try APIKey.random().text
                if await bench.authenticator.authenticate(wrong[...], from: "a") == .busy { busy += 1 }
            }
            #expect(busy == 20)
            let guess = String(key.text.dropLast(4)) + (key.text.hasSuffix("2222") ? "3333" : "2222")
            #expect(await bench.authenticator.authenticate(guess[...], from: "a") == .busy, "a wrong secret")
            guard case .accepted = await bench.authenticator.authenticate(key.text[...], from: "a") else {
                return #expect(Bool(false), "a good key is kept out by wrong ones")
            }
        }
    }

    @Test("wrong keys and unknown ids are refused without a hash")
    func noHash() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, _) = try await bench.key()
            bench.pool.stop()
            let guess = String(key.text.dropLast(4)) + (key.text.hasSuffix("2222") ? "3333" : "2222")
            for text in [guess, try APIKey.random().text] {
                guard case .refused = await bench.authenticator.authenticate(text[...], from: "a") else {
                    return #expect(Bool(false), "it was hashed")
                }
            }
        }
    }

    @Test("a record without a checksum is proved by its hash, and gets one")
    func oldRecord() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, record) = try await bench.key()
            var old = record
            old.checksum = nil
            _ = try await bench.client.send(RedisCommand("DEL", "orc:{l0}:auth:key:\(record.id)"))
            try await bench.store.add(old)
            #expect(try await bench.store.record(record.id)?.checksum == nil)
            #expect(await bench.principal(key.text) != nil)
            try await eventually("it has a checksum") {
                try await bench.store.record(record.id)?.checksum == record.checksum
            }
        }
    }

    @Test("when revocations cannot be asked for, remembered keys hold for seconds only, and nothing is accepted then")
    func failsClosed() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, _) = try await bench.key()
            #expect(await bench.principal(key.text) != nil)
            await bench.redis.process.kill9()
            bench.pass(.seconds(2))
            #expect(await bench.principal(key.text) != nil, "asked two seconds ago")
            bench.pass(.seconds(2))
            let answer = await bench.authenticator.authenticate(key.text[...], from: "a")
            guard case .unavailable = answer else { return #expect(Bool(false), "\(answer)") }
        }
    }

    @Test("a record that was not made under the master key opens nothing, nor does one that was widened")
    func forgedRecords() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, record) = try await bench.key()
            let foreign = CredentialStore(
                client: bench.client, prefix: "orc:{l0}:auth:", proofKey: [UInt8](repeating: 1, count: 32))
            let forged = try KeyRecord.fresh(
                in: bench.workspace, roles: [try DefinitionName("admin")], label: "", lifetime: nil,
                at: bench.now.milliseconds, parameters: AuthenticatorBench.cheap)
            try await foreign.add(forged.1)
            #expect(await bench.principal(forged.0.text) == nil)
            for (field, value) in [("roles", "admin"), ("workspace", "other"), ("expires", "0")] {
                let name = "orc:{l0}:auth:key:\(record.id)"
                let before = try await bench.client.send(RedisCommand("HGET", name, field))
                _ = try await bench.client.send(RedisCommand("HSET", name, field, value))
                bench.pass()
                _ = try await bench.client.send(RedisCommand("INCR", "orc:{l0}:auth:epoch"))
                #expect(await bench.principal(key.text) == nil, "\(field) was changed")
                _ = try await bench.client.send(
                    RedisCommand("HSET", name, field, String(decoding: before.bytes, as: UTF8.self)))
                bench.pass(.seconds(11))
                #expect(await bench.principal(key.text) != nil, "\(field) is as it was")
            }
        }
    }

    @Test("a hash under other parameters is made again at the next use")
    func rehash() async throws {
        try await AuthenticatorBench.with { bench in
            let old = Argon2id.Parameters(memoryKiB: 32, iterations: 2, lanes: 1)
            let (key, record) = try await bench.key(parameters: old)
            #expect(await bench.principal(key.text) != nil)
            try await eventually("it is hashed again") {
                let stored = try await bench.store.record(record.id)
                return Argon2id.isCurrent(stored?.hash ?? "", AuthenticatorBench.cheap) && stored?.hash != record.hash
            }
            bench.pass(.seconds(400))
            #expect(await bench.principal(key.text) != nil)
        }
    }

    @Test("a flood of wrong keys does not delay a new key")
    func flood() async throws {
        try await AuthenticatorBench.with(limit: 1, parameters: Argon2id.Parameters()) { bench in
            let (key, _) = try await bench.key(parameters: Argon2id.Parameters())
            let answers = await withTaskGroup(of: Authentication.self) { group in
                for _ in 0..<100 {
                    guard let wrong = try? APIKey.random().text else { continue }  // fewer wrong keys then
                    group.addTask { await bench.authenticator.authenticate(wrong[...], from: "a") }
                }
                #expect(await bench.principal(key.text) != nil, "the pool has room for one")
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.filter { $0 == .busy }.count == 40)
            #expect(!answers.contains { if case .accepted = $0 { true } else { false } })
        }
    }

    @Test("many requests with one new key wait for one check")
    func singleFlight() async throws {
        try await AuthenticatorBench.with(limit: 1, parameters: Argon2id.Parameters()) { bench in
            let (key, _) = try await bench.key(parameters: Argon2id.Parameters())
            await withTaskGroup(of: Principal?.self) { group in
                for _ in 0..<50 { group.addTask { await bench.principal(key.text) } }
                for await principal in group { #expect(principal != nil) }
            }
        }
    }

    @Test("unknown and wrong keys cost the same time")
    func timing() async throws {
        try await AuthenticatorBench.with(parameters: Argon2id.Parameters(memoryKiB: 4096, iterations: 2, lanes: 1)) {
            bench in
            let parameters = Argon2id.Parameters(memoryKiB: 4096, iterations: 2, lanes: 1)
            let (key, _) = try await bench.key(parameters: parameters)
            var (unknown, wrong): ([Duration], [Duration]) = ([], [])
            let clock = ContinuousClock()
            for round in 0..<30 {
                let stranger = try APIKey.random().text
                let secret = try APIKey.random().text.suffix(52)
                let guess = String(key.text.dropLast(52) + secret)
                for text in round % 2 == 0 ? [stranger, guess] : [guess, stranger] {
                    let time = await clock.measure { #expect(await bench.principal(text) == nil) }
                    if text == stranger { unknown.append(time) } else { wrong.append(time) }
                }
            }
            // The quickest of each: whatever else the machine does only makes some slower. An answer without the hash would
            // take a hundredth of the other.
            let ratio = (unknown.min() ?? .zero) / (wrong.min() ?? .seconds(1))
            #expect(ratio > 0.1 && ratio < 10, "\(ratio)")
        }
    }

    @Test("its use is noted, once a minute")
    func lastUsed() async throws {
        try await AuthenticatorBench.with { bench in
            let (key, record) = try await bench.key(lifetime: nil)
            let first = bench.now.milliseconds
            #expect(await bench.principal(key.text) != nil)
            try await eventually("it is noted") { try await bench.store.record(record.id)?.usedAt == first }
            bench.pass(.seconds(61))
            #expect(await bench.principal(key.text) != nil)
            try await eventually("it is noted again") {
                try await bench.store.record(record.id)?.usedAt == bench.now.milliseconds
            }
        }
    }
}
