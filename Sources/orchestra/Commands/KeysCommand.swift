import ArgumentParser
import Audit
import Credentials
import Cryptography
import Domain
import Foundation
import Jobs
import Policy

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "API keys: who may use the API, for which workspace, in which role.",
        subcommands: [Create.self, List.self, Revoke.self, Rotate.self], defaultSubcommand: List.self)

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a key and shows it, once.",
            discussion: """
                EXAMPLES
                  orchestra keys create --workspace acme --role developer --label ci --expires 90d
                  orchestra keys create --role viewer --json
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Option(help: "A role under Policies/roles; may be given several times.") var role: [String]
        @Option(help: "What people are to call it.") var label = ""
        @Option(help: "How long it is good for, such as 12h, 90d or never.") var expires = "90d"

        func run() async throws {
            try await reporting {
                let policy = try self.scope.context().policy()
                let roles = try APIKeyAdmin.roles(self.role, in: policy)
                let lifetime = try APIKeyAdmin.lifetime(self.expires)
                let (label, json) = (self.label, self.output.json)
                try await self.scope.withSession { session, workspace in
                    let desk = try APIKeyAdmin(session)
                    let (key, record) = try await desk.create(
                        in: workspace, roles: roles, label: label, lifetime: lifetime)
                    APIKeyAdmin.show(key, record, json: json)
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the keys of all workspaces, or of one.",
            discussion: "EXAMPLE\n  orchestra keys list --only acme --json")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Option(help: "Only those of this workspace.") var only: String?

        func run() async throws {
            try await reporting {
                let workspace = try self.only.map { try WorkspaceID($0) }
                let json = self.output.json
                try await self.scope.withSession { session, _ in
                    let records = try await session.credentials().records(of: workspace)
                    let now = try await session.queue.time()
                    if !json, records.isEmpty { Orchestra.say("there are no keys") }
                    for record in records { Orchestra.say(json ? record.json.text : record.line(at: now)) }
                }
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Closes keys for good; every node refuses them within five seconds.",
            discussion: "EXAMPLE\n  orchestra keys revoke 5j3k2l6m7n2o4p3q")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The ids, as `orchestra keys list` shows them.") var ids: [String]

        func run() async throws {
            try await reporting {
                let ids = self.ids
                try await self.scope.withSession { session, _ in
                    let desk = try APIKeyAdmin(session)
                    var failures: [String] = []
                    // All of them, whatever becomes of one: somebody may be in a cancelRunningJobs.
                    for id in ids {
                        do {
                            try await desk.revoke(id)
                            Orchestra.say("key \(id) is revoked")
                        } catch {
                            failures.append(CommandError(error).message)
                        }
                    }
                    guard failures.isEmpty else { throw CommandError(.data, failures.joined(separator: "; ")) }
                }
            }
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a key like another one and shows it; the other stays good until it is revoked.",
            discussion: """
                EXAMPLES
                  orchestra keys rotate 5j3k2l6m7n2o4p3q
                  orchestra keys rotate 5j3k2l6m7n2o4p3q --revoke
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Argument(help: "The id of the key to replace.") var id: String
        @Option(help: "How long the new one is good for, such as 12h, 90d or never.") var expires = "90d"
        @Flag(help: "Revokes the old one at once.") var revoke = false

        func run() async throws {
            try await reporting {
                let lifetime = try APIKeyAdmin.lifetime(self.expires)
                let (id, json, revokes) = (self.id, self.output.json, self.revoke)
                try await self.scope.withSession { session, _ in
                    let desk = try APIKeyAdmin(session)
                    let old = try await desk.record(id)
                    guard old.revokedAt == 0 else {
                        throw CommandError(.data, "the key \(id) is revoked; make another with: orchestra keys create")
                    }
                    let (key, record) = try await desk.create(
                        in: old.workspace, roles: old.roles, label: old.label, lifetime: lifetime)
                    APIKeyAdmin.show(key, record, json: json)
                    if revokes { try await desk.revoke(id) }
                }
            }
        }
    }
}

/// What is done with keys at the command line, each with its row in the audit trail first.
struct APIKeyAdmin: Sendable {
    private let session: QueueSession
    private let store: CredentialStore

    init(_ session: QueueSession) throws {
        self.session = session
        self.store = try session.credentials()
    }

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

    /// Nil for ever.
    static func lifetime(_ text: String) throws -> Duration? {
        if text == "never" { return nil }
        let units: [Character: Int64] = ["m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()),
            count > 0, count <= 3650 * 86_400 / unit
        else {
            throw CommandError(
                .usage, "--expires \(Printable.text(text)): expected such as 30m, 12h, 90d (at most 3650d) or never")
        }
        return .seconds(count * unit)
    }

    func record(_ id: String) async throws -> KeyRecord {
        guard let record = try await self.store.record(id) else {
            throw CommandError(.data, "there is no key '\(Printable.text(id))'; `orchestra keys list` shows them")
        }
        return record
    }

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

    func revoke(_ id: String) async throws {
        let record = try await self.record(id)
        let now = try await self.session.queue.time()
        try await self.note(.keyRevoked, record, at: now)
        try await self.store.revoke(record, at: now)
    }

    private func note(_ kind: AuditEvent.Kind, _ record: KeyRecord, at now: UInt64) async throws {
        let event = AuditEvent(
            kind: kind, workspace: record.workspace, actor: "cli:\(NSUserName())", action: record.id, jobID: nil,
            status: record.roles.map(\.name).joined(separator: ","), rule: "operator", duration: .zero,
            errorReason: record.label, paramsDigest: [], node: "", time: now)
        try await self.session.queue.appendAudit(event.encoded, of: record.workspace)
    }

    static func show(_ key: APIKey, _ record: KeyRecord, json: Bool) {
        if json {
            let line: JSONValue = .object((record.json.members ?? []) + [JSONMember("key", .string(key.text))])
            return Orchestra.say(line.text)
        }
        Orchestra.say(key.text)
        _ = Output.write(
            Array(
                "key \(record.id) of workspace \(record.workspace); it is shown this once, keep it in a safe place\n"
                    .utf8),
            to: STDERR_FILENO)
    }
}

extension KeyRecord {
    /// Everything that may be shown.
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

    func line(at now: UInt64) -> String {
        let state = self.revokedAt > 0 ? "revoked" : self.isGood(at: now) ? "good" : "expired"
        let used = self.usedAt == 0 ? "never used" : "used \(Self.day(self.usedAt))"
        let ends = self.expiresAt == 0 ? "no end" : "until \(Self.day(self.expiresAt))"
        let roles = self.roles.map(\.name).joined(separator: ",")
        return "\(self.id)  \(state)  \(self.workspace)  \(roles)  \(ends)  \(used)  \(Printable.text(self.label))"
    }

    private static func day(_ milliseconds: UInt64) -> String {
        RFC3339.secondsText(of: milliseconds)
    }
}

extension QueueSession {
    /// The store of keys and denials beside the queue.
    func credentials() throws -> CredentialStore {
        CredentialStore(
            client: self.first, prefix: CredentialStore.standardPrefix,
            proofKey: try self.master.derived(for: CredentialStore.proofPurpose))
    }
}

extension Orchestra {
    /// Inside a command's own types `show` may mean something else.
    static func say(_ line: String) { show(line) }
}
