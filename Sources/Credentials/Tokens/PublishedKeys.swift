internal import Domain
package import Logging
internal import NIOCore
package import NIOPosix
internal import TransportSecurity

/// The keys of an issuer as it publishes them: found by OpenID Connect Discovery, kept, and asked for again when they are
/// old, and when a token names one that is not among them, each at most once a minute.
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
        /// As long as there are none at all.
        package var firstPause: Duration = .seconds(5)
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
        if let known = self.known, now - known.at < self.configuration.longestAge {
            if known.set.knows(id) {
                // Good ones are at hand: newer ones are asked for beside the request.
                if now - known.at >= self.configuration.refreshInterval { _ = self.refresh(at: now, for: .age) }
                return .success(known.set)
            }
            await self.refresh(at: now, for: .unknownKey)?.value
        } else {
            await self.refresh(at: now, for: .age)?.value
        }
        guard let known = self.known, self.clock() - known.at < self.configuration.longestAge else {
            return .failure(
                CredentialsError(
                    code: .noKeys,
                    message: "the issuer's keys cannot be had: \(self.lastProblem ?? "they were not asked for yet")"))
        }
        return .success(known.set)
    }

    /// The answer that is being waited for, or a new one unless the same reason had one just now; nil then.
    private func refresh(at now: ContinuousClock.Instant, for reason: Reason) -> Task<Void, Never>? {
        if let pending = self.pending { return pending }
        let pause = self.known == nil ? self.configuration.firstPause : self.configuration.shortestPause
        if let time = self.askedAt[reason], now - time < pause { return nil }
        self.askedAt[reason] = now
        let task = Task {  // awaited by all who need what it brings
            await self.load()
            self.pending = nil
        }
        self.pending = task
        return task
    }

    private func load() async {
        do {
            let url = try await self.keysURL()
            let set = try KeySet(try await self.fetch(url, KeySet.sizeLimit))
            guard set.count > 0 else {
                throw CredentialsError(
                    code: .malformedDocument, message: "the key set at \(url) holds no key that can check signatures")
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
        guard document["issuer"]?.string?.utf8.elementsEqual(base.utf8) == true, let keys = document["jwks_uri"]?.string
        else {
            throw CredentialsError(
                code: .malformedDocument,
                message: "the document at \(url) is refused: expected the issuer '\(base)' and a 'jwks_uri'")
        }
        return keys
    }
}
