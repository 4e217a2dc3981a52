/// Every key of the configuration, documented once: the loader, `orchestra config` and the README's table
/// come from here. A key is set by a flag, by its environment variable (secrets also by `…_FILE`), by the
/// configuration file, or by its default, in this order.
struct SettingKey: Sendable {
    enum Kind: Sendable {
        case text
        case integer(ClosedRange<Int>)
        /// Whole seconds.
        case seconds(ClosedRange<Int>)
        case oneOf([String])

        var expected: String {
            switch self {
            case .text: "text"
            case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
            case .seconds(let range): "seconds from \(range.lowerBound) to \(range.upperBound)"
            case .oneOf(let values): "one of \(values.joined(separator: ", "))"
            }
        }
    }

    let name: String
    let variable: String
    let kind: Kind
    /// Nil means that there is none, or that it is found at start, as the text says.
    let fallback: String?
    let isSecret: Bool
    let text: String

    private init(
        _ name: String, _ variable: String, _ kind: Kind, _ fallback: String?, isSecret: Bool = false, _ text: String
    ) {
        self.name = name
        self.variable = variable
        self.kind = kind
        self.fallback = fallback
        self.isSecret = isSecret
        self.text = text
    }

    static let all: [SettingKey] = [
        SettingKey(
            "redis.url", "REDIS_URL", .text, "redis://127.0.0.1:6379/0",
            "redis://, rediss:// or unix:// URL; redis+sentinel://host:port,…/master and redis+cluster://host:port,… too."
        ),
        SettingKey("redis.username", "REDIS_USERNAME", .text, nil, "User of Redis' access list."),
        SettingKey("redis.password", "REDIS_PASSWORD", .text, nil, isSecret: true, "That user's password."),
        SettingKey(
            "redis.sentinel.password", "REDIS_SENTINEL_PASSWORD", .text, nil, isSecret: true,
            "Password of the sentinels, where they have one."),
        SettingKey(
            "redis.tls.ca-file", "REDIS_TLS_CA_FILE", .text, nil, "PEM authorities to trust; else the system's."),
        SettingKey("redis.tls.certificate-file", "REDIS_TLS_CERTIFICATE_FILE", .text, nil, "PEM client certificate."),
        SettingKey("redis.tls.key-file", "REDIS_TLS_KEY_FILE", .text, nil, "PEM key of the client certificate."),
        SettingKey(
            "redis.tls.pins", "REDIS_TLS_PINS", .text, nil,
            "Comma-separated SHA-256 digests (hex) of accepted server keys (SPKI)."),
        SettingKey(
            "redis.tls.minimum-version", "REDIS_TLS_MINIMUM_VERSION", .oneOf(["1.2", "1.3"]), "1.3", "Oldest TLS."),
        SettingKey(
            "environment", "ENV", .oneOf(["development", "production"]), "development",
            "In production a plain redis:// is refused."),
        SettingKey(
            "master-key", "ORCHESTRA_MASTER_KEY", .text, nil, isSecret: true,
            "64 hexadecimal digits under which the workspaces' keys are wrapped; `orchestra dev` makes its own."),
        SettingKey(
            "allow-actions-default", "ALLOW_ACTIONS_DEFAULT", .text, nil,
            "Comma-separated exact names of actions that may run; unset means none."),
        SettingKey(
            "workspace", "ORCHESTRA_WORKSPACE", .text, "default", "The workspace that the command line works in."),
        SettingKey("node.name", "ORCHESTRA_NODE_NAME", .text, nil, "The node's stable name; else the host's name."),
        SettingKey(
            "state-directory", "ORCHESTRA_STATE_DIRECTORY", .text, nil,
            "Where keys, agents, workspaces and logs live; else ~/.local/state/orchestra."),
        SettingKey(
            "secrets-directory", "ORCHESTRA_SECRETS_DIRECTORY", .text, nil,
            "Files WORKSPACE/NAME, mode 0600, that definitions ask for by name; else `secrets` of the state directory."),
        SettingKey(
            "policies-directory", "ORCHESTRA_POLICIES_DIRECTORY", .text, nil,
            "The policy files; else ./Policies, the checkout's, or /usr/share/orchestra/Policies."),
        SettingKey("probe.host", "ORCHESTRA_PROBE_HOST", .text, "127.0.0.1", "Address of the probe port."),
        SettingKey(
            "probe.port", "ORCHESTRA_PROBE_PORT", .integer(0...65535), "9464", "The probe port; 0 chooses a free one."),
        SettingKey(
            "sandbox.tier", "ORCHESTRA_SANDBOX_TIER", .oneOf(["auto", "1", "2", "3", "4"]), "auto",
            "How strong the sandboxes are: the strongest that this host gives, or exactly this one."),
        SettingKey(
            "sandbox.selftest", "ORCHESTRA_SANDBOX_SELFTEST", .oneOf(["start", "never"]), "start",
            "Whether a node tries every known way out of its sandbox before it runs a program."),
        SettingKey(
            "agents.retention", "ORCHESTRA_AGENTS_RETENTION", .seconds(1...31_536_000), "2592000",
            "How long the log and the recording of an agent that has ended are kept on this machine."),
        SettingKey(
            "watch.response", "ORCHESTRA_WATCH_RESPONSE", .oneOf(["report", "freeze", "kill", "quarantine"]), "report",
            "What is done, beside writing it down, when something of an agent is seen where it must not be."),
        SettingKey(
            "api.listen", "ORCHESTRA_API_LISTEN", .text, "off",
            "Where the API is served: off, address:port, [address]:port or unix:/path; beyond this machine only with TLS."
        ),
        SettingKey(
            "api.tls.certificate-file", "ORCHESTRA_API_TLS_CERTIFICATE_FILE", .text, nil, "PEM chain of the API."),
        SettingKey("api.tls.key-file", "ORCHESTRA_API_TLS_KEY_FILE", .text, nil, "PEM key of that chain, mode 0600."),
        SettingKey(
            "api.tls.client-ca-file", "ORCHESTRA_API_TLS_CLIENT_CA_FILE", .text, nil,
            "PEM authorities; clients must then show a certificate of theirs."),
        SettingKey(
            "api.hosts", "ORCHESTRA_API_HOSTS", .text, nil,
            "Comma-separated names that requests may call the API by; else loopback's own, or any where it is public."),
        SettingKey(
            "api.origins", "ORCHESTRA_API_ORIGINS", .text, nil,
            "Comma-separated origins of web pages that may call, exactly as browsers send them."),
        SettingKey(
            "api.clients", "ORCHESTRA_API_CLIENTS", .text, nil,
            "Comma-separated addresses and networks that may call, such as 10.0.0.0/8; else all."),
        SettingKey(
            "api.proxies", "ORCHESTRA_API_PROXIES", .text, nil,
            "Comma-separated addresses and networks of proxies whose X-Forwarded-For is believed."),
        SettingKey(
            "api.public-url", "ORCHESTRA_API_PUBLIC_URL", .text, nil, "The API's own URL, for clients that look for it."
        ),
        SettingKey(
            "api.workspace-rate", "ORCHESTRA_API_WORKSPACE_RATE", .integer(1...10_000_000), "60000",
            "Requests of one workspace in a minute, over all nodes."),
        SettingKey(
            "api.address-rate", "ORCHESTRA_API_ADDRESS_RATE", .integer(1...10_000_000), "120000",
            "Requests from one address in a minute, over all nodes, whatever their credentials."),
        SettingKey(
            "api.security-contact", "ORCHESTRA_API_SECURITY_CONTACT", .text, nil,
            "mailto: or https: URL in /.well-known/security.txt."),
        SettingKey(
            "auth.issuer", "ORCHESTRA_AUTH_ISSUER", .text, nil,
            "The OpenID Connect issuer whose tokens are taken, exactly as they name it; unset takes API keys alone."),
        SettingKey("auth.audience", "ORCHESTRA_AUTH_AUDIENCE", .text, nil, "The audience that tokens must name."),
        SettingKey(
            "auth.algorithms", "ORCHESTRA_AUTH_ALGORITHMS", .text, "RS256", "Comma-separated: RS256, ES256, EdDSA."),
        SettingKey(
            "auth.workspace-claim", "ORCHESTRA_AUTH_WORKSPACE_CLAIM", .text, "workspace_id",
            "The claim that names the workspace."),
        SettingKey(
            "auth.roles-claim", "ORCHESTRA_AUTH_ROLES_CLAIM", .text, nil, "The claim that lists roles, if there is one."
        ),
        SettingKey(
            "auth.clients", "ORCHESTRA_AUTH_CLIENTS", .text, nil,
            "Comma-separated client ids (azp) whose tokens are taken; else all."),
        SettingKey(
            "auth.longest-lifetime", "ORCHESTRA_AUTH_LONGEST_LIFETIME", .seconds(60...86_400), "3600",
            "The longest lifetime that a token may have."),
        SettingKey(
            "auth.keys-url", "ORCHESTRA_AUTH_KEYS_URL", .text, nil, "Where the issuer's keys are; else it is asked."),
        SettingKey(
            "auth.ca-file", "ORCHESTRA_AUTH_CA_FILE", .text, nil, "PEM authorities for the issuer; else the system's."),
        SettingKey(
            "auth.hashing-threads", "ORCHESTRA_AUTH_HASHING_THREADS", .integer(1...64), "1",
            "Threads that check new API keys."),
        SettingKey("worker.slots", "ORCHESTRA_WORKER_SLOTS", .integer(1...10_000), "16", "Jobs held at once."),
        SettingKey(
            "worker.workspace-concurrency", "ORCHESTRA_WORKER_WORKSPACE_CONCURRENCY", .integer(1...10_000), "8",
            "Jobs of one workspace that run at once on this node."),
        SettingKey(
            "worker.grace", "ORCHESTRA_WORKER_GRACE", .seconds(0...3600), "30",
            "How long running jobs may take to finish when the node stops."),
        SettingKey(
            "queue.lease", "ORCHESTRA_QUEUE_LEASE", .seconds(2...3600), "30",
            "How long a node may be silent before others take its jobs, and an agent may be without its node."),
        SettingKey(
            "queue.lanes", "ORCHESTRA_QUEUE_LANES", .integer(1...64), "1",
            "Lanes that spread the workspaces over a Redis Cluster; the same everywhere, from the first use on."),
        SettingKey(
            "queue.retention", "ORCHESTRA_QUEUE_RETENTION", .seconds(60...2_592_000), "86400",
            "How long a finished job's record and result are kept."),
        SettingKey(
            "queue.stream-limit", "ORCHESTRA_QUEUE_STREAM_LIMIT", .integer(1...100_000_000), "1000000",
            "Waiting jobs of a workspace past which submissions are refused."),
        SettingKey(
            "log.level", "ORCHESTRA_LOG_LEVEL", .oneOf(["debug", "info", "notice", "warning", "error"]), "info",
            "The least severe level that is logged."),
    ]

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
