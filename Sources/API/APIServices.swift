internal import Agents
package import CoreMetrics
package import Credentials
internal import Domain
internal import Intake
package import Jobs
package import Logging
package import NIOPosix
package import Policy

/// Everything that the routes use.
package struct APIServices: Sendable {
    let configuration: APIConfiguration
    let store: any JobStore
    let keys: WorkspaceKeyring
    let digester: ParamsDigester
    let intake: Intake
    let policy: PolicyEngine
    let authenticator: Authenticator
    let limiter: RateLimiter
    /// Where other nodes serve their APIs.
    let peers: PeerAddresses
    /// The files of this node's workspaces.
    let workspaceFiles: any WorkspaceFiles
    /// Transfers of files that run.
    let transfers = TransferPlaces(limit: 4)
    /// Where the agents of this node live.
    let agentsRoot: String
    /// Threads that read agents' files.
    let files = FileSystemPool(.singleton)
    /// This node's name, as in the records of jobs.
    let node: String
    let group: MultiThreadedEventLoopGroup
    let logger: Logger
    /// Milliseconds since the epoch by the queue's clock.
    let now: @Sendable () -> UInt64
    let freshID: @Sendable () -> String
    let requests: RequestMetrics
    let refusals: Counter
    let auditFailures: Counter
    let streams: StreamQuota
    let dates: DateHeader
    /// The OpenAPI document, generated once: it needs no credential.
    let document: [UInt8]

    /// `freshID` makes an ID for a request that has none.
    package init(
        configuration: APIConfiguration, access: QueueAccess, policy: PolicyEngine, authenticator: Authenticator,
        limiter: RateLimiter, peers: PeerAddresses, workspaceFiles: any WorkspaceFiles, agentsRoot: String,
        node: String, group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        freshID: @escaping @Sendable () -> String
    ) {
        self.configuration = configuration
        self.store = access.store
        self.keys = access.keys
        self.digester = access.digester
        self.intake = Intake(access, policy: policy)
        let clock = access.clock
        self.policy = policy
        self.authenticator = authenticator
        self.limiter = limiter
        self.peers = peers
        self.workspaceFiles = workspaceFiles
        self.agentsRoot = agentsRoot
        self.node = node
        self.group = group
        self.logger = logger
        self.now = { clock.now() }
        self.freshID = freshID
        self.requests = RequestMetrics(factory: metrics)
        self.refusals = Counter(label: "orchestra_rate_limited_total", factory: metrics)
        self.auditFailures = Counter(label: "orchestra_audit_failures_total", factory: metrics)
        self.streams = StreamQuota(
            limit: configuration.streamLimit, agentLimit: configuration.agentStreamLimit, metrics: metrics)
        self.dates = DateHeader(now: self.now)
        self.document = OpenAPIDocument.json(configuration).bytes
    }
}
