internal import Domain

/// What the guard saw of a sandbox, layer by layer: the doctor, the node's start and the choice of a tier run it, because
/// a layer that is only configured is not a layer.
package struct SandboxReport: Sendable {
    /// One layer: its name, whether it holds, and what was seen.
    package struct Layer: Hashable, Sendable {
        package let name: String
        package let holds: Bool
        package let detail: String
    }

    package let layers: [Layer]

    /// Reads what the guard printed, `name<TAB>ok|no<TAB>detail` a line.
    package init(_ output: String) {
        self.layers = output.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard parts.count == 3 else { return nil }
            return Layer(name: String(parts[0]), holds: parts[1] == "ok", detail: Printable.text(String(parts[2])))
        }
    }

    /// True when every layer of the tier reported and holds.
    package func holds(_ tier: SandboxTier) -> Bool {
        let held = Set(self.layers.filter(\.holds).map(\.name))
        return self.layers.allSatisfy(\.holds) && held.isSuperset(of: Self.names(of: tier))
    }

    /// The layers that must report; one that is missing does not hold.
    package static func names(of tier: SandboxTier) -> Set<String> {
        var names: Set<String> = [
            "capabilities", "no-new-privileges", "filter", "descriptors", "refused-calls", "limits", "workspace",
        ]
        if tier == .landlock { names.insert("landlock") }
        if tier >= .namespaces {
            names.formUnion(["namespaces", "network", "environment", "mounts", "read-only-root", "sizes"])
        }
        if tier >= .ownUser { names.insert("own-user") }
        return names
    }
}
