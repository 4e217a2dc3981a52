internal import Domain
internal import ShimProtocol

/// The way out of a sandbox whose profile has egress files.
extension SandboxPlan {
    /// The port of the proxy listener on the sandbox's own loopback interface.
    package static let proxyPort: UInt16 = 3128

    /// Throws `SandboxError` when this tier cannot have a listener, or nothing serves it.
    func checkEgress(_ profile: SandboxProfile, _ egress: LaunchSpec.Egress?) throws(SandboxError) {
        guard !profile.egress.isEmpty else { return }
        guard self.tier >= .namespaces else {
            throw SandboxError(
                message:
                    "the sandbox profile '\(profile.name)' has egress, which needs a network namespace: tier 2, and this one is \(self.tier.rawValue)"
            )
        }
        guard egress != nil else {
            throw SandboxError(
                message: "the sandbox profile '\(profile.name)' has egress, and no egress server serves this launch",
                isHostFault: true)
        }
    }

    /// What programs read to find the proxy. Node.js reads the others only with `NODE_USE_ENV_PROXY` (22.21 and later).
    static var proxyVariables: [String: String] {
        let proxy = "http://127.0.0.1:\(self.proxyPort)"
        let direct = "127.0.0.1,localhost,::1"
        return [
            "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "http_proxy": proxy, "https_proxy": proxy, "NO_PROXY": direct,
            "no_proxy": direct, "NODE_USE_ENV_PROXY": "1",
        ]
    }
}
