import Audit
import Credentials
import Cryptography
import Domain
import Foundation
import Jobs
import Policy

/// Creates, lists and revokes API keys at the command line; each change is preceded by its audit event.
struct APIKeyAdmin: Sendable {
    private let session: QueueSession
    private let store: CredentialStore

    init(_ session: QueueSession) throws {
        self.session = session
        self.store = try session.credentials()
    }

    /// The roles of these names; throws status 64 for one that the policy does not define.
    static func roles(_ names: [String], in policy: PolicyEngine) throws -> [DefinitionName] {
        try names.map { name in
            let role = try DefinitionName(name)
            guard policy.bundle.roles[role] != nil else {
                let known = policy.bundle.roles.keys.map(\.name).sorted().joined(separator: ", ")
                throw CommandError(.usage, "there is no role '\(Printable.text(name))'; known are: \(known)")
            }
            return role
        }
    }

    /// The lifetime that `--expires` names, nil for `never`; throws status 64 when it is malformed.
    static func lifetime(_ text: String) throws -> Duration? {
        if text == "never" { return nil }
        let units: [Character: Int64] = ["m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()),
            count > 0, count <= 3650 * 86_400 / unit
        else {
            throw CommandError(
                .usage,
                "--expires \(Printable.text(text)): expected a time such as 30m, 12h or 90d (at most 3650d), or never")
        }
        return .seconds(count * unit)
    }

    /// The record of a key; throws status 65 when there is none.
    func record(_ id: String) async throws -> KeyRecord {
        guard let record = try await self.store.record(id) else {
            throw CommandError(.data, "there is no key '\(Printable.text(id))'; `orchestra keys list` shows them")
        }
        return record
    }

    /// Creates a key and stores its record.
    func create(
        in workspace: WorkspaceID, roles: [DefinitionName], label: String, lifetime: Duration?
    ) async throws -> (APIKey, KeyRecord) {
        try await self.session.keys.verifyMaster()
        let now = try await self.session.queue.time()
        let (key, record) = try KeyRecord.fresh(
            in: workspace, roles: roles, label: label, lifetime: lifetime, at: now)
        try await self.note(.keyCreated, record, at: now)
        try await self.store.add(record)
        return (key, record)
    }

    /// Revokes a key; throws status 65 when there is none.
    func revoke(_ id: String) async throws {
        let record = try await self.record(id)
        let now = try await self.session.queue.time()
        try await self.note(.keyRevoked, record, at: now)
        try await self.store.revoke(record, at: now)
    }

    private func note(_ kind: AuditEvent.Kind, _ record: KeyRecord, at now: UInt64) async throws {
        let event = try await self.session.event(
            kind, in: record.workspace, action: record.id,
            status: record.roles.map(\.name).joined(separator: ","), reason: record.label, at: now)
        try await self.session.queue.appendAudit(event, of: record.workspace)
    }

    /// Prints a new key; the remark on standard error says that it is printed once.
    static func show(_ key: APIKey, _ record: KeyRecord, json: Bool) {
        if json {
            let line: JSONValue = .object((record.json.members ?? []) + [JSONMember("key", .string(key.text))])
            return Orchestra.say(line.text)
        }
        Orchestra.say(key.text)
        _ = Output.write(
            Array(
                "key \(record.id) of workspace \(record.workspace); it is printed only once, store it in a safe place\n"
                    .utf8),
            to: STDERR_FILENO)
    }
}
