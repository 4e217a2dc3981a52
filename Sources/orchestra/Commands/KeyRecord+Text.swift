import Credentials
import Domain
import Foundation

extension KeyRecord {
    /// All that may be printed.
    var json: JSONValue {
        [
            "id": .string(self.id), "workspace": .string(self.workspace.name),
            "roles": .array(self.roles.map { .string($0.name) }), "label": .string(self.label),
            "created": .integer(Int64(clamping: self.createdAt)),
            "expires": self.expiresAt == 0 ? .null : .integer(Int64(clamping: self.expiresAt)),
            "revoked": self.revokedAt == 0 ? .null : .integer(Int64(clamping: self.revokedAt)),
            "last_used": self.usedAt == 0 ? .null : .integer(Int64(clamping: self.usedAt)),
        ]
    }

    /// A line for people; `now` is in milliseconds since the epoch.
    func line(at now: UInt64) -> String {
        let state = self.revokedAt > 0 ? "revoked" : self.isGood(at: now) ? "valid" : "expired"
        let used = self.usedAt == 0 ? "never used" : "used \(Self.day(self.usedAt))"
        let ends = self.expiresAt == 0 ? "does not expire" : "until \(Self.day(self.expiresAt))"
        let roles = self.roles.map(\.name).joined(separator: ",")
        return "\(self.id)  \(state)  \(self.workspace)  \(roles)  \(ends)  \(used)  \(Printable.text(self.label))"
    }

    private static func day(_ milliseconds: UInt64) -> String {
        RFC3339.secondsText(of: milliseconds)
    }
}
