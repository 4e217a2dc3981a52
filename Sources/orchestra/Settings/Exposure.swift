import Domain
import Redis

/// A setting that exposes data to other machines: a warning in development, refused in production unless its
/// `insecure.…` key allows it.
struct Exposure: Sendable, Equatable {
    /// The key that allows it in production.
    let key: String
    /// What is exposed, as a sentence without its end.
    let text: String

    /// The sentence for production.
    var refusal: String {
        "ENV is production and \(self.text); to allow it, use --set \(self.key)=yes (\(SettingKey.byName[self.key]?.variable ?? self.key)=yes)"
    }

    /// The sentence for development.
    var warning: String { "\(self.text); with ENV=production this is refused" }

    /// Nil for a Redis over TLS or on a Unix socket.
    static func plainRedis(_ redis: RedisConfiguration) -> Exposure? {
        guard case .tcp = redis.endpoint, redis.tls == nil else { return nil }
        return Exposure(
            key: "insecure.plain-redis",
            text: "REDIS_URL is plain redis://, so jobs and passwords travel unencrypted; expected rediss:// or unix://"
        )
    }

    /// Nil for a loopback address.
    static func publicProbe(_ host: String) -> Exposure? {
        guard !Loopback.contains(host) else { return nil }
        return Exposure(
            key: "insecure.public-probe",
            text:
                "the probe port is on \(Printable.text(host)), so health and metrics are open to other machines in plain HTTP; expected 127.0.0.1 in ORCHESTRA_PROBE_HOST"
        )
    }
}
