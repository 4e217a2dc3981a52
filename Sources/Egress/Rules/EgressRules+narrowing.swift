extension EgressRules {
    /// The rules that a workspace or a definition leaves of these: the entries of `ids`, every denial, and further denials.
    /// The result never allows more. Throws `EgressError.inconsistent` for an unknown ID, and for an addition that allows.
    package func narrowed(
        to ids: Set<EgressEntryID>, adding denials: [EgressEntry] = [], file: String = "egress"
    ) throws(EgressError) -> EgressRules {
        let place = "the egress file \(file)"
        let known = Set(self.entries.map(\.id))
        if let unknown = ids.subtracting(known).min(by: { $0.text < $1.text }) {
            throw EgressError.inconsistent(place, "there is no entry '\(unknown)' to keep")
        }
        if let wider = denials.first(where: { !$0.isDenied }) {
            throw EgressError.inconsistent(place, "the entry '\(wider.id)' allows: only denials can be added")
        }
        let kept = self.entries.filter { $0.isDenied || ids.contains($0.id) }
        return try EgressRules(kept + denials, approved: self.approved, file: file)
    }
}
