package import Domain

/// One entry of the egress rules: what may be reached, or what may not.
package struct EgressEntry: Hashable, Sendable {
    package let id: EgressEntryID
    package let host: HostPattern
    /// Nil means any port; only an entry that denies has that.
    package let ports: Set<UInt16>?
    /// Nil means every kind; only an entry that denies has that.
    package let listener: EgressListenerKind?
    /// Nil means any method.
    package let methods: Set<EgressMethod>?
    /// Nil means any path.
    package let paths: [PathPattern]?
    package let isDenied: Bool
    /// The name of the credential that is added outside.
    package let credential: DefinitionName?
    package let limits: EgressLimits
    /// Private ranges to which an exact name may resolve. A wildcard never gets any.
    package let allowPrivate: [AddressRange]
    /// Whether a person must approve the entry before it allows anything.
    package let needsApproval: Bool
    package let protocolKind: EgressProtocol
    /// Whether a ClientHello without a server name is accepted.
    package let allowsMissingServerName: Bool
    /// What is allowed of a model provider; nil for every other kind.
    package let model: ModelAccess?

    /// The ranges that count for a request: none for a wildcard.
    package var effectivePrivateRanges: [AddressRange] { self.host.isExact ? self.allowPrivate : [] }

    /// Whether the entry is for this kind, port, method and path. The caller has matched the host.
    func covers(_ listener: EgressListenerKind, port: UInt16) -> Bool {
        (self.listener ?? listener) == listener && self.ports?.contains(port) ?? true
    }

    func covers(method: EgressMethod) -> Bool { self.methods?.contains(method) ?? true }

    /// An entry with paths never covers a request whose path is not visible.
    func covers(path: RequestPath?) -> Bool {
        guard let paths = self.paths else { return true }
        guard let path else { return false }
        return paths.contains { $0.matches(path) }
    }

    /// Combinations that load but deserve the operator's attention, one sentence each.
    package var warnings: [String] {
        var warnings: [String] = []
        if !self.isDenied, let ports = self.ports, !ports.isDisjoint(with: [1080, 3128, 8080]) {
            warnings.append(
                "\(self.id): the port is usual for proxies; a proxy that is listed opens everything behind it")
        }
        if !self.host.isExact, !self.allowPrivate.isEmpty {
            warnings.append("\(self.id): 'allow_private' has no effect for a wildcard: name the host exactly")
        }
        for range in self.allowPrivate where AddressClass(range.address) != .private {
            warnings.append("\(self.id): \(range) is not in a private range and stays refused")
        }
        if !self.host.isExact, self.protocolKind == .tcp, !self.isDenied {
            warnings.append("\(self.id): names below a wildcard can carry data to the name server of the domain")
        }
        return warnings
    }
}
