extension SettingKey {
    static let redis: [SettingKey] = [
        SettingKey(
            "redis.url", "REDIS_URL", .text, "redis://127.0.0.1:6379/0",
            "redis://, rediss:// or unix:// URL; also redis+sentinel://host:port,…/master and redis+cluster://host:port,…."
        ),
        SettingKey("redis.username", "REDIS_USERNAME", .text, nil, "User of the Redis access control list."),
        SettingKey("redis.password", "REDIS_PASSWORD", .text, nil, isSecret: true, "Password of that user."),
        SettingKey(
            "redis.sentinel.password", "REDIS_SENTINEL_PASSWORD", .text, nil, isSecret: true,
            "Password of the sentinels."),
        SettingKey(
            "redis.tls.ca-file", "REDIS_TLS_CA_FILE", .path, nil,
            "PEM file of trusted certificate authorities; default: those of the system."),
        SettingKey("redis.tls.certificate-file", "REDIS_TLS_CERTIFICATE_FILE", .path, nil, "PEM client certificate."),
        SettingKey("redis.tls.key-file", "REDIS_TLS_KEY_FILE", .path, nil, "PEM key of the client certificate."),
        SettingKey(
            "redis.tls.pins", "REDIS_TLS_PINS", .name, nil,
            "Comma-separated SHA-256 digests (hex) of accepted server keys (SPKI)."),
        SettingKey(
            "redis.tls.minimum-version", "REDIS_TLS_MINIMUM_VERSION", .oneOf(["1.2", "1.3"]), "1.3",
            "Oldest accepted TLS version."),
        SettingKey(
            "insecure.plain-redis", .isOn, "no",
            "Whether a Redis over TCP without TLS is accepted in production."),
    ]

    static let node: [SettingKey] = [
        SettingKey(
            "environment", "ENV", .oneOf(["development", "production"]), "development",
            "In production, settings that expose data are refused instead of warned about, and the configuration of `orchestra dev` is never used."
        ),
        SettingKey(
            "master-key", .text, nil, isSecret: true,
            "64 hexadecimal digits that wrap the workspaces' keys; `orchestra dev` makes its own."),
        SettingKey(
            "allow-actions-default", "ALLOW_ACTIONS_DEFAULT", .text, nil,
            "Comma-separated exact names of actions that may run; unset or empty means none."),
        SettingKey("workspace", .text, "default", "The workspace that client commands work in."),
        SettingKey("node.name", .name, nil, "The stable name of the node; default: the host name."),
        SettingKey(
            "state-directory", .path, nil,
            "Where keys, agents, workspaces and logs are kept; default: orchestra in $XDG_STATE_HOME, else in ~/.local/state."
        ),
        SettingKey(
            "secrets-directory", .path, nil,
            "Files WORKSPACE/NAME, mode 0600, that definitions refer to by name; default: secrets in the state directory."
        ),
        SettingKey(
            "policies-directory", .path, nil,
            "The policy files; default: Policies of the checkout that the executable was built in, else /usr/share/orchestra/Policies."
        ),
        SettingKey(
            "probe.host", .text, "127.0.0.1",
            "Address of the probe port, which serves health and metrics in plain HTTP to every client."),
        SettingKey("probe.port", .integer(0...65535), "9464", "The probe port; 0 chooses a free one."),
        SettingKey(
            "insecure.public-probe", .isOn, "no",
            "Whether a probe port beyond the loopback interface is accepted in production."),
        SettingKey(
            "sandbox.tier", .oneOf(["auto", "1", "2", "3", "4"]), "auto",
            "Strength of the sandboxes: the strongest that this host supports, or exactly this tier."),
        SettingKey(
            "sandbox.selftest", .oneOf(["start", "never"]), "start",
            "Whether a node runs the escape test before it runs a program."),
        SettingKey(
            "agents.retention", .seconds(1...31_536_000), "2592000",
            "How long the log and the recording of an ended agent are kept on this machine, and the events of egress.jsonl."
        ),
        SettingKey(
            "watch.response", .oneOf(["report", "freeze", "kill", "quarantine"]), "report",
            "What happens, in addition to the report, when part of an agent is found outside its sandbox."),
        SettingKey(
            "egress.overrides", .text, nil,
            "Comma-separated NAME=ADDRESS:PORT: where connections of sandboxes to these names go instead, for tests; refused in production."
        ),
        SettingKey(
            "agents.tools", .path, nil,
            "A directory with the programs of agents, such as claude and codex; sandboxes whose profile has tools see it read-only at /opt/agents."
        ),
        SettingKey(
            "egress.ca-file", .path, nil,
            "PEM file of the certificate authorities that model providers are checked against; default: those of the system."
        ),
        SettingKey("worker.slots", .integer(1...10_000), "16", "Jobs held at once."),
        SettingKey(
            "worker.workspace-concurrency", .integer(1...10_000), "8",
            "Jobs of one workspace that run at once on this node."),
        SettingKey(
            "worker.grace", .seconds(0...3600), "30",
            "How long running jobs may take to finish when the node stops."),
        SettingKey(
            "workspaces.shared", .isOn, "no",
            "Whether the directory workspaces of the state directory is the same on all nodes, by a shared file system: then any node runs the jobs of any workspace; the same on every node."
        ),
        SettingKey(
            "workspaces.home-lost", .oneOf(["move", "copy", "wait"]), "move",
            "What happens to the jobs of a workspace whose home is gone for good: they move to another node and start without its files, or with its last copy, or wait for a decision; the same on every node."
        ),
        SettingKey(
            "workspaces.home-timeout", .seconds(0...31_536_000), "600",
            "How long a home may be away before it counts as gone for good; the same on every node."),
        SettingKey(
            "workspaces.copies", .path, nil,
            "Where copies of the workspaces' files are kept for workspaces.home-lost=copy: a directory that all nodes share."
        ),
        SettingKey(
            "workspaces.copy-interval", .seconds(1...86_400), "300",
            "How often the files of a workspace that jobs use are copied."),
        SettingKey(
            "audit.archive", .path, nil,
            "Where this node archives the audit trail: a directory, or off; default: archive in the state directory."
        ),
        SettingKey(
            "log.level", .oneOf(["debug", "info", "notice", "warning", "error"]), "info",
            "The lowest level that is logged."),
    ]

    static let api: [SettingKey] = [
        SettingKey(
            "api.listen", .text, "off",
            "Where the API is served: off, address:port, [address]:port or unix:/path; beyond the loopback interface only with TLS."
        ),
        SettingKey("api.tls.certificate-file", .path, nil, "PEM certificate chain of the API."),
        SettingKey("api.tls.key-file", .path, nil, "PEM key of that chain, mode 0600."),
        SettingKey(
            "api.tls.client-ca-file", .path, nil,
            "PEM certificate authorities for clients, which must then present a certificate."),
        SettingKey(
            "api.hosts", .text, nil,
            "Comma-separated host names that requests may use; default: those of loopback, any on a public address."),
        SettingKey(
            "api.origins", .text, nil,
            "Comma-separated origins of web pages that may call the API, exactly as browsers send them."),
        SettingKey(
            "api.clients", .name, nil,
            "Comma-separated client addresses and networks that are accepted, such as 10.0.0.0/8; default: all."),
        SettingKey(
            "api.proxies", .text, nil,
            "Comma-separated addresses and networks of proxies whose X-Forwarded-For is trusted."),
        SettingKey("api.public-url", .text, nil, "The URL of the API in its discovery documents."),
        SettingKey(
            "api.advertise", .text, nil,
            "The https URL, without a path, at which other nodes reach this API; they forward requests for agents of this node there. Plain http only on this machine; refused in production."
        ),
        SettingKey(
            "api.forward.ca-file", .path, nil,
            "PEM file of the certificate authorities that the APIs of other nodes are checked against; default: those of the system."
        ),
        SettingKey(
            "api.workspace-rate", .integer(1...10_000_000), "60000",
            "Requests of one workspace per minute, over all nodes."),
        SettingKey(
            "api.address-rate", .integer(1...10_000_000), "120000",
            "Requests from one address per minute, over all nodes and credentials."),
        SettingKey(
            "api.archive-limit", .integer(1...(1 << 40)), "1073741824",
            "Bytes of an archive that brings files of a workspace in or out over the API."),
        SettingKey("api.security-contact", .text, nil, "mailto: or https: URL in /.well-known/security.txt."),
    ]

    static let auth: [SettingKey] = [
        SettingKey(
            "auth.issuer", .text, nil,
            "The OpenID Connect issuer whose tokens are accepted, exactly as the tokens name it; unset accepts API keys only."
        ),
        SettingKey("auth.audience", .text, nil, "The audience that tokens must name."),
        SettingKey("auth.algorithms", .text, "RS256", "Comma-separated: RS256, ES256, EdDSA."),
        SettingKey("auth.workspace-claim", .text, "workspace_id", "The claim that names the workspace."),
        SettingKey("auth.roles-claim", .text, nil, "The claim that lists the roles."),
        SettingKey(
            "auth.clients", .name, nil,
            "Comma-separated client ids (azp) whose tokens are accepted; default: all."),
        SettingKey(
            "auth.longest-lifetime", .seconds(60...86_400), "3600",
            "The longest lifetime that a token may have."),
        SettingKey("auth.keys-url", .text, nil, "URL of the issuer's keys (JWKS); default: found by discovery."),
        SettingKey(
            "auth.ca-file", .path, nil,
            "PEM file of certificate authorities for the issuer; default: those of the system."),
        SettingKey("auth.hashing-threads", .integer(1...64), "1", "Threads that verify API keys."),
    ]

    static let queue: [SettingKey] = [
        SettingKey(
            "queue.lease", .seconds(2...3600), "30",
            "How long a node may be silent before others take over its jobs, and how long an agent runs without its node."
        ),
        SettingKey(
            "queue.lanes", .integer(1...64), "1",
            "Lanes that spread the workspaces over a Redis Cluster; the same on every node, fixed at the first use."),
        SettingKey(
            "queue.retention", .seconds(60...2_592_000), "86400",
            "How long the record and the result of an ended job are kept."),
        SettingKey(
            "queue.stream-limit", .integer(1...100_000_000), "1000000",
            "Waiting jobs of a workspace past which submissions are refused."),
    ]
}
