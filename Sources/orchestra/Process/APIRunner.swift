import API
import Agents
import CoreMetrics
import Credentials
import Cryptography
import Domain
import Foundation
import Jobs
import Logging
import NIOPosix
import Policy
import Redis
import Supervision
import Synchronization
import TransportSecurity
import Worker

/// The API of a node as supervised children: its own connections, the authenticator, and the server.
struct APIRunner: Sendable {
    private let server: APIServer
    private let authenticator: Authenticator
    private let tls: TLSServerContext?
    private let clients: [RedisClient]
    private let expiry: Gauge
    private let logger: Logger
    /// Publishes the address of this API to other nodes; nil when it is not to be published.
    private let advertisement: PeerAdvertisement?
    /// The port once it is bound.
    let port = BoundPort()

    /// The port of the API.
    final class BoundPort: Sendable {
        private let number = Atomic<Int>(-1)
        /// 0 before it is bound, and for a Unix socket.
        var value: Int { max(0, self.number.load(ordering: .relaxed)) }
        var isBound: Bool { self.number.load(ordering: .relaxed) >= 0 }
        fileprivate func set(_ port: Int) { self.number.store(port, ordering: .relaxed) }
    }

    private static let backoff = RestartBackoff(
        first: .seconds(1), longest: .seconds(10), resetAfter: .seconds(60))
    private static let certificateInterval = Duration.seconds(10)

    /// `node` is the way to the queue of the node next to which it runs, `agents` how that runs programs, and `copier` what
    /// keeps copies of its workspaces' files. Nil when the API is off. Throws a `CommandError` when it cannot be served as it is configured.
    init?(
        _ context: Context, policy: PolicyEngine, master: SealingKey, nextTo node: QueueAccess,
        agents: AgentConfiguration, copier: WorkspaceCopier?, metrics: any MetricsFactory, logger: Logger
    ) async throws {
        guard let configuration = try context.api() else { return nil }
        let group = MultiThreadedEventLoopGroup.singleton
        // Connections of its own, so that neither holds the other up; keys and clock are the process'.
        let access = try QueueAccess(sharing: node, role: .api, metrics: metrics, logger: logger)
        self.clients = access.lanes.map(\.commands)
        guard let first = self.clients.first else { throw CommandError(.gaveUp, "the queue has no lanes") }
        let tokens = try context.tokenRules().map { rules in
            var source = PublishedKeys.Configuration(
                issuer: rules.issuer, keysURL: context.settings.text("auth.keys-url"),
                authorityFile: context.settings.text("auth.ca-file"))
            source.shortestPause = .seconds(60)
            return TokenVerifier(
                rules: rules, keys: PublishedKeys(configuration: source, group: group, logger: logger))
        }
        self.authenticator = try Authenticator(
            store: CredentialStore(
                client: first, prefix: CredentialStore.standardPrefix,
                proofKey: try master.derived(for: CredentialStore.proofPurpose)),
            tokens: tokens,
            pool: HashingPool(threads: try context.settings.integer("auth.hashing-threads"), limit: 64),
            now: { access.clock.now() }, metrics: metrics, logger: logger)
        self.tls = try configuration.tls.map { try TLSServerContext(configuration: $0) }
        self.expiry = Gauge(label: "orchestra_tls_certificate_expiry_timestamp_seconds", factory: metrics)
        self.logger = logger
        let peers = PeerAddresses(
            client: first, prefix: PeerAddresses.standardPrefix,
            proofKey: try master.derived(for: PeerAddresses.proofPurpose))
        let name = try context.node().name
        self.advertisement = configuration.advertisedURL.map { url in
            PeerAdvertisement(addresses: peers, node: name, url: url, now: { access.clock.now() }, logger: logger)
        }
        let services = APIServices(
            configuration: configuration, access: access, policy: policy, authenticator: self.authenticator,
            limiter: RateLimiter(client: first, prefix: "orc:{l0}:limit:"), peers: peers,
            workspaceFiles: NodeFiles(
                context: context, agents: agents, copier: copier, policy: policy, store: access.store, node: name,
                limits: .standard(bytes: configuration.archiveLimit), logger: logger),
            agentsRoot: try context.agentsRoot(), node: name, group: group, metrics: metrics, logger: logger,
            freshID: { UUID().uuidString.lowercased() })
        self.server = APIServer(services: services, tls: self.tls, logger: logger)
        do {
            try await self.server.checkAddress()
        } catch {
            throw CommandError(
                .unavailable,
                "the API's address \(try context.settings.required("api.listen")) cannot be opened (\(error)); choose another in ORCHESTRA_API_LISTEN"
            )
        }
    }

    var children: [ChildSpecification] {
        let (server, port, authenticator, logger) = (self.server, self.port, self.authenticator, self.logger)
        let links = self.clients.enumerated().map { number, client in
            ChildSpecification.redisLink(
                number == 0 ? "api-redis" : "api-redis-\(number)", client, clock: ContinuousClock())
        }
        return links + [
            ChildSpecification(id: "credentials", backoff: Self.backoff, heartbeatLimit: .seconds(30)) { child in
                child.ready()
                try await authenticator.run(clock: ContinuousClock(), heartbeat: { child.heartbeat() })
            },
            ChildSpecification(id: "server", shutdown: .timeout(.seconds(12)), backoff: Self.backoff) { child in
                try await server.run(port: port.value) { bound in
                    port.set(bound)
                    logger.notice("the API is open", metadata: ["api.port": "\(bound)"])
                    child.ready()
                }
            },
        ] + (self.tls.map { [self.certificate($0)] } ?? []) + (self.advertisement.map { [self.advertise($0)] } ?? [])
    }

    /// Keeps the API's address where other nodes find it.
    private func advertise(_ advertisement: PeerAdvertisement) -> ChildSpecification {
        ChildSpecification(
            id: "advertise", shutdown: .timeout(.seconds(5)), backoff: Self.backoff, heartbeatLimit: .seconds(60)
        ) { child in
            child.ready()
            try await advertisement.run(clock: ContinuousClock(), heartbeat: { child.heartbeat() })
        }
    }

    /// Loads a certificate that was replaced, and records when the one in use expires.
    private func certificate(_ tls: TLSServerContext) -> ChildSpecification {
        let (expiry, logger, files) = (self.expiry, self.logger, FileSystemPool(.singleton))
        return ChildSpecification(id: "certificate", backoff: Self.backoff, heartbeatLimit: .seconds(60)) { child in
            child.ready()
            var lastProblem: String?
            while true {
                do {
                    let isReplaced = try await files.run { try tls.reloadIfChanged() }
                    if isReplaced { logger.notice("the certificate of the API is replaced") }
                    lastProblem = nil
                } catch let error as TLSError {
                    if lastProblem != error.message {
                        logger.error(
                            "the new certificate of the API is not usable; the old one stays in use", error: error)
                    }
                    lastProblem = error.message
                }
                expiry.record(Int64(clamping: tls.certificateExpiry))
                child.heartbeat()
                try await ContinuousClock().sleep(for: Self.certificateInterval)
            }
        }
    }
}
