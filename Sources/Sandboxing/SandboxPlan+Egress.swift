internal import Domain

/// The way out of a sandbox whose profile has egress files.
extension SandboxPlan {
    /// The port of the proxy listener on the sandbox's own loopback interface.
    package static let proxyPort: UInt16 = 3128

    /// Throws `SandboxError` when this tier cannot have a listener, or nothing serves it.
    func checkEgress(_ profile: SandboxProfile, _ egress: EgressAccess?) throws(SandboxError) {
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
}
