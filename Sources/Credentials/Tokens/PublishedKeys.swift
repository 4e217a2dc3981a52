internal import Domain
package import Logging
internal import NIOCore
package import NIOPosix
internal import TransportSecurity

/// The keys of an issuer as it publishes them: found by OpenID Connect Discovery, kept, and asked for again when they are
/// old or a token names one that is not among them, at most once a minute.
///
/// While the issuer is away the last keys go on for a day.
package actor PublishedKeys: KeySource {
    package struct Configuration: Sendable {
        package var issuer: String
        /// Where the keys are, when they are not to be discovered.
        package var keysURL: String?
        package var authorityFile: String?
        package var refreshInterval: Duration = .seconds(600)
        package var shortestPause: Duration = .seconds(60)
        /// Keys older than this are no longer believed.
        package var longestAge: Duration = .seconds(86_400)

        package init(issuer: String, keysURL: String? = nil, authorityFile: String? = nil) {
            self.issuer = issuer
            self.keysURL = keysURL
            self.authorityFile = authorityFile
        }
    }

    private let configuration: Configuration
    private let fetch: @Sendable (String, Int) async throws -> [UInt8]
    private let clock: @Sendable () -> ContinuousClock.Instant
    private let logger: Logger

    private enum Reason {
        case age
        case unknownKey
    }

    private var known: (set: KeySet, at: ContinuousClock.Instant)?
    /// When it was last asked for which reason; apart, so that the first token under a new key is not refused.
    private var askedAt: [Reason: ContinuousClock.Instant] = [:]
    private var lastProblem: String?
    private var pending: Task<Void, Never>?

    private static let discoveryLimit = 64 * 1024

    /// `fetch` gets a URL and the most bytes that it may return; nil for the product's own.
    package init(
        configuration: Configuration, group: MultiThreadedEventLoopGroup, logger: Logger,
        clock: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        fetch: (@Sendable (String, Int) async throws -> [UInt8])? = nil
    ) {
        self.configuration = configuration
        self.logger = logger
        self.clock = clock
        let authority = configuration.authorityFile
        self.fetch =
            fetch ?? { url, limit in
                try await HTTPFetch.get(url, limit: limit, authorityFile: authority, group: group)
            }
    }

    package func keys(knowing id: String) async -> Result<KeySet, CredentialsError> {
        let now = self.clock()
        let isOld = self.known.map { now - $0.at >= self.configuration.refreshInterval } ?? true
        let isUnknown = self.known.map { !$0.set.knows(id) } ?? true
        if isOld {
            await self.refresh(at: now, for: .age)
        } else if isUnknown {
            await self.refresh(at: now, for: .unknownKey)
        }
        guard let known = self.known, self.clock() - known.at < self.configuration.longestAge else {
            return .failure(
                CredentialsError(
                    message: "the issuer's keys cannot be had: \(self.lastProblem ?? "they were not asked for yet")"))
        }
        return .success(known.set)
    }

    /// At most once in the shortest pause, whatever is asked for; who comes meanwhile waits for the same answer.
    private func refresh(at now: ContinuousClock.Instant, for reason: Reason) async {
        if let pending = self.pending { return await pending.value }
        if let time = self.askedAt[reason], now - time < self.configuration.shortestPause { return }
        self.askedAt[reason] = now
        let task = Task { await self.load() }  // awaited here, and by all who come before its end
        self.pending = task
        await task.value
        self.pending = nil
    }

    private func load() async {
        do {
            let url = try await self.keysURL()
            let set = try KeySet(try await self.fetch(url, KeySet.sizeLimit))
            guard set.count > 0 else {
                throw CredentialsError(message: "the key set at \(url) holds no key that can check signatures")
            }
            if self.lastProblem != nil { self.logger.notice("the issuer's keys were read again") }
            self.known = (set, self.clock())
            self.lastProblem = nil
        } catch {
            let problem = Printable.text("\(error)", limit: 300)
            if self.lastProblem != problem {
                self.logger.warning(
                    "the issuer's keys cannot be read; the last ones go on", metadata: ["reason": "\(problem)"])
            }
            self.lastProblem = problem
        }
    }

    private func keysURL() async throws -> String {
        if let url = self.configuration.keysURL { return url }
        let base = self.configuration.issuer
        let url = (base.hasSuffix("/") ? base : base + "/") + ".well-known/openid-configuration"
        let document = try JSONParser.parse(try await self.fetch(url, Self.discoveryLimit))
        // OpenID Connect Discovery §4.3: exactly the issuer that was asked.
        guard document["issuer"]?.string == base, let keys = document["jwks_uri"]?.string else {
            throw CredentialsError(
                message: "the document at \(url) is refused: expected the issuer '\(base)' and a 'jwks_uri'")
        }
        return keys
    }
}
