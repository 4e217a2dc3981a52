internal import Domain
package import Logging
internal import NIOCore
package import NIOPosix
internal import TransportSecurity

/// The keys that an issuer publishes, found by OpenID Connect Discovery. They are fetched again when they are old and when
/// a token names an unknown one, each at most once a minute.
///
/// While the issuer does not answer, the last keys stay in use for a day.
package actor PublishedKeys: KeySource {
    /// The issuer, and how often its keys are fetched.
    package struct Configuration: Sendable {
        package var issuer: String
        /// The URL of the keys; nil to discover it.
        package var keysURL: String?
        package var authorityFile: String?
        package var refreshInterval: Duration = .seconds(600)
        package var shortestPause: Duration = .seconds(60)
        /// The shortest pause while there are no keys at all.
        package var firstPause: Duration = .seconds(5)
        /// Keys older than this are not used.
        package var longestAge: Duration = .seconds(86_400)

        /// Takes the parts as given; the intervals have their defaults.
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
    /// The last fetch for each reason; separate, so that the first token under a new key is not refused.
    private var fetchedAt: [Reason: ContinuousClock.Instant] = [:]
    private var lastProblem: String?
    private let fetches = SharedRuns<String, Void>()
    private var isFetching = false

    private static let discoveryLimit = 64 * 1024

    /// `fetch` takes a URL and the limit of bytes; nil for the HTTP client of this module.
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
                try await HTTPFetch.document(url, limit: limit, authorityFile: authority, group: group)
            }
    }

    /// Returns the newest keys at hand; waits for a fetch when `id` is not among them or when none are usable. Fails
    /// with `noKeys` when there are still none.
    package func keys(knowing id: String) async -> Result<KeySet, CredentialsError> {
        let now = self.clock()
        if let known = self.known, now - known.at < self.configuration.longestAge {
            if known.set.knows(id) {
                // The request does not wait: newer keys are fetched in the background.
                if now - known.at >= self.configuration.refreshInterval, self.mayFetch(at: now, for: .age) {
                    self.fetches.start(self.configuration.issuer) { await self.load() }
                }
                return .success(known.set)
            }
            await self.refresh(at: now, for: .unknownKey)
        } else {
            await self.refresh(at: now, for: .age)
        }
        guard let known = self.known, self.clock() - known.at < self.configuration.longestAge else {
            return .failure(
                CredentialsError(
                    code: .noKeys,
                    message:
                        "the keys of the issuer are not available: \(self.lastProblem ?? "they were not fetched yet")"))
        }
        return .success(known.set)
    }

    /// Waits for the fetch in progress, or for a new one unless the last one for this reason is too recent.
    private func refresh(at now: ContinuousClock.Instant, for reason: Reason) async {
        guard self.mayFetch(at: now, for: reason) else { return }
        await self.fetches.value(of: self.configuration.issuer) { await self.load() }
    }

    /// True when a fetch goes on or is to begin now.
    private func mayFetch(at now: ContinuousClock.Instant, for reason: Reason) -> Bool {
        guard !self.isFetching else { return true }
        let pause = self.known == nil ? self.configuration.firstPause : self.configuration.shortestPause
        if let time = self.fetchedAt[reason], now - time < pause { return false }
        self.fetchedAt[reason] = now
        self.isFetching = true
        return true
    }

    private func load() async {
        defer { self.isFetching = false }
        do {
            let url = try await self.keysURL()
            let set = try KeySet(try await self.fetch(url, KeySet.sizeLimit))
            guard set.count > 0 else {
                throw CredentialsError(
                    code: .malformedDocument, message: "the key set at \(url) holds no key that can check signatures")
            }
            if self.lastProblem != nil { self.logger.notice("the keys of the issuer were fetched again") }
            self.known = (set, self.clock())
            self.lastProblem = nil
        } catch {
            let problem = Printable.text("\(error)", limit: 300)
            if self.lastProblem != problem {
                self.logger.warning(
                    "the keys of the issuer cannot be fetched; the last ones stay in use",
                    metadata: ["reason": "\(problem)"])
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
