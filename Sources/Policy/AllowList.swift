package import Domain

/// The exact names that may be run; from `ALLOW_ACTIONS_DEFAULT`.
package struct AllowList: Hashable, Sendable {
    private let names: Set<ActionName>

    /// Denies everything.
    package static let none = AllowList(names: [])

    /// Allows these names and no others.
    package init(names: Set<ActionName>) { self.names = names }

    /// Reads comma-separated exact names; spaces around a name are dropped. Nil, empty text and a list of
    /// nothing deny all. Throws `DomainError` for a name that no action can have, such as a glob.
    package init(_ text: String?) throws(DomainError) {
        var names: Set<ActionName> = []
        for part in (text ?? "").split(separator: ",") {
            let name = part.drop { $0 == " " }
            let trimmed = String(name.reversed().drop { $0 == " " }.reversed())
            if trimmed.isEmpty { continue }
            names.insert(try ActionName(trimmed))
        }
        self.names = names
    }

    /// Returns whether the list has this exact name.
    package func contains(_ name: ActionName) -> Bool { self.names.contains(name) }

    package var isEmpty: Bool { self.names.isEmpty }

    package var sortedNames: [String] { self.names.map(\.name).sorted() }
}
