package import Domain
package import ModelUsage

/// The egress rules of one sandbox: a list of entries with one decision. An entry that denies wins over every entry that
/// allows; of those that allow, the entries with the most exact host decide; what no entry allows is refused.
package struct EgressRules: Hashable, Sendable {
    package let entries: [EgressEntry]
    private let exact: [EgressHost: [EgressEntry]]
    private let wildcards: [HostName: [EgressEntry]]
    let approved: Set<EgressEntryID>
    private let models: [ModelService: EgressEntry]

    /// Throws `EgressError.inconsistent` if two entries have the same ID. Entries that need approval allow something only
    /// if `approved` has them.
    package init(_ entries: [EgressEntry], approved: Set<EgressEntryID> = [], file: String = "egress")
        throws(EgressError)
    {
        var exact: [EgressHost: [EgressEntry]] = [:]
        var wildcards: [HostName: [EgressEntry]] = [:]
        var ids: Set<EgressEntryID> = []
        var models: [ModelService: EgressEntry] = [:]
        for entry in entries {
            guard ids.insert(entry.id).inserted else {
                throw EgressError.inconsistent("the egress file \(file)", "the entry '\(entry.id)' occurs twice")
            }
            if let service = entry.model?.service {
                if let other = models.updateValue(entry, forKey: service) {
                    throw EgressError.inconsistent(
                        "the egress file \(file)",
                        "the entries '\(other.id)' and '\(entry.id)' are both for the models of '\(service.rawValue)': expected one"
                    )
                }
            }
            switch entry.host {
            case .exact(let host): exact[host, default: []].append(entry)
            case .wildcard(let name): wildcards[name, default: []].append(entry)
            }
        }
        self.entries = entries
        self.exact = exact
        self.wildcards = wildcards
        self.approved = approved
        self.models = models
    }

    /// Rules without an entry, which allow nothing.
    package static let nothing = EgressRules()

    private init() {
        self.entries = []
        self.exact = [:]
        self.wildcards = [:]
        self.approved = []
        self.models = [:]
    }

    /// Reads the entries of a file. Throws `EgressError` that names the file, the entry, the field and what was expected.
    package init(
        parsing values: [JSONValue], file: String = "egress", suffixes: PublicSuffixes = PublicSuffixes(),
        approved: Set<EgressEntryID> = []
    ) throws(EgressError) {
        var entries: [EgressEntry] = []
        for (index, value) in values.enumerated() {
            entries.append(
                try EgressEntry(value, place: "the egress file \(file), entry \(index + 1)", suffixes: suffixes))
        }
        try self.init(entries, approved: approved, file: file)
    }

    /// The services whose models the rules allow, in a fixed order.
    package var modelServices: [ModelService] { ModelService.allCases.filter { self.models[$0] != nil } }

    /// The entry for the models of a service; nil when there is none.
    package func model(_ service: ModelService) -> (entry: EgressEntry, access: ModelAccess)? {
        self.models[service].flatMap { entry in entry.model.map { (entry, $0) } }
    }

    /// Decides one request. `path` is nil where the path is not visible, as in a tunnel. The addresses of the host are not
    /// checked here.
    package func decide(
        _ target: EgressTarget, listener: EgressListenerKind, method: EgressMethod, path: RequestPath? = nil
    ) -> EgressDecision {
        let groups = self.groups(target.host)
        if let denial = self.denial(groups, target, listener, method, path) { return denial }
        var other: EgressRefusal?
        for group in groups {
            let allowing = group.filter { !$0.isDenied }
            let covering = allowing.filter { $0.covers(listener, port: target.port) }
            if let first = covering.first {
                return self.decide(among: covering, first: first, target, method, path)
            }
            if other == nil, let near = allowing.first { other = self.nearMiss(allowing, near, target, listener) }
        }
        if let other { return .refuse(other) }
        return self.refuse(.hostNotAllowed, "\(target.host) is not listed in the rules", target, nil)
    }

    /// Decides one call of a model: by every denial, and else by its own entry alone.
    func decide(
        _ target: EgressTarget, method: EgressMethod, path: RequestPath, for entry: EgressEntry
    ) -> EgressDecision {
        self.denial(self.groups(target.host), target, .model, method, path)
            ?? self.decide(among: [entry], first: entry, target, method, path)
    }

    private func denial(
        _ groups: [[EgressEntry]], _ target: EgressTarget, _ listener: EgressListenerKind, _ method: EgressMethod,
        _ path: RequestPath?
    ) -> EgressDecision? {
        groups.joined().first {
            $0.isDenied && $0.covers(listener, port: target.port) && $0.covers(method: method) && $0.covers(path: path)
        }.map { self.refuse(.denied, "\(target.host) is denied by the rules", target, $0) }
    }

    /// The entries for a host, the most exact first.
    private func groups(_ host: EgressHost) -> [[EgressEntry]] {
        var groups = self.exact[host].map { [$0] } ?? []
        guard case .name(var name) = host else { return groups }
        while let parent = name.parent {
            if let entries = self.wildcards[parent] { groups.append(entries) }
            name = parent
        }
        return groups
    }

    /// Decides among the entries with the most exact host, of which all have the right kind and port.
    private func decide(
        among entries: [EgressEntry], first: EgressEntry, _ target: EgressTarget, _ method: EgressMethod,
        _ path: RequestPath?
    ) -> EgressDecision {
        let allowing = entries.filter { $0.covers(method: method) && $0.covers(path: path) }
        if let entry = allowing.first(where: { !$0.needsApproval || self.approved.contains($0.id) }) {
            return .allow(entry)
        }
        if let entry = allowing.first {
            return self.refuse(.approvalRequired, "\(target) waits for a person's approval", target, entry)
        }
        if let entry = entries.first(where: { $0.covers(method: method) }) {
            return self.refuse(.pathNotAllowed, "the path is not listed for \(target.host)", target, entry)
        }
        return self.refuse(.methodNotAllowed, "\(method.rawValue) is not listed for \(target.host)", target, first)
    }

    private func nearMiss(
        _ entries: [EgressEntry], _ first: EgressEntry, _ target: EgressTarget, _ listener: EgressListenerKind
    ) -> EgressRefusal {
        if let entry = entries.first(where: { $0.listener == listener }) {
            let ports = (entry.ports ?? []).sorted().map(String.init).joined(separator: ", ")
            return EgressRefusal(
                .portNotAllowed, "port \(target.port) of \(target.host) is not listed; listed: \(ports)",
                target: target, entry: entry.id)
        }
        let listed = first.listener?.rawValue ?? "another kind"
        return EgressRefusal(
            .doorNotAllowed, "\(target.host) is listed for '\(listed)', not for '\(listener.rawValue)'",
            target: target, entry: first.id)
    }

    private func refuse(
        _ reason: EgressReason, _ detail: String, _ target: EgressTarget, _ entry: EgressEntry?
    ) -> EgressDecision {
        .refuse(EgressRefusal(reason, detail, target: target, entry: entry?.id))
    }
}
