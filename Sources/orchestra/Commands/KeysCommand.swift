import ArgumentParser
import Credentials
import Domain
import Foundation
import Jobs
import Policy

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "API keys: each gives access to one workspace in one or more roles.",
        subcommands: [Create.self, List.self, Revoke.self, Rotate.self], defaultSubcommand: List.self)

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates a key and prints it, once.",
            discussion: """
                EXAMPLES
                  orchestra keys create --workspace acme --role developer --label ci --expires 90d
                  orchestra keys create --role viewer --json
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Option(help: "A role under Policies/roles; may be given several times.") var role: [String]
        @Option(help: "A name for people.") var label = ""
        @Option(help: "How long it is valid, such as 12h, 90d or never.") var expires = "90d"

        func run() async throws {
            try await reporting {
                let context = try self.scope.context()
                let roles = try APIKeyAdmin.roles(self.role, in: try context.policy())
                let lifetime = try APIKeyAdmin.lifetime(self.expires)
                let (label, json) = (self.label, self.output.json)
                try await self.scope.withSession(context) { session, workspace in
                    let admin = try APIKeyAdmin(session)
                    let (key, record) = try await admin.create(
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
            abstract: "Revokes keys; every node refuses them within five seconds.",
            discussion: "EXAMPLE\n  orchestra keys revoke 5j3k2l6m7n2o4p3q")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The ids, as `orchestra keys list` shows them.") var ids: [String]

        func run() async throws {
            try await reporting {
                let ids = self.ids
                try await self.scope.withSession { session, _ in
                    let admin = try APIKeyAdmin(session)
                    var failures: [String] = []
                    // All of them, also when one fails: this may be an emergency.
                    for id in ids {
                        do {
                            try await admin.revoke(id)
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
            abstract: "Creates a key like another one and prints it; the other stays valid until it is revoked.",
            discussion: """
                EXAMPLES
                  orchestra keys rotate 5j3k2l6m7n2o4p3q
                  orchestra keys rotate 5j3k2l6m7n2o4p3q --revoke
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Argument(help: "The id of the key to replace.") var id: String
        @Option(help: "How long the new one is valid, such as 12h, 90d or never.") var expires = "90d"
        @Flag(help: "Revokes the old one at once.") var revoke = false

        func run() async throws {
            try await reporting {
                let lifetime = try APIKeyAdmin.lifetime(self.expires)
                let (id, json, revokes) = (self.id, self.output.json, self.revoke)
                try await self.scope.withSession { session, _ in
                    let admin = try APIKeyAdmin(session)
                    let old = try await admin.record(id)
                    guard old.revokedAt == 0 else {
                        throw CommandError(.data, "the key \(id) is revoked; make another with: orchestra keys create")
                    }
                    let (key, record) = try await admin.create(
                        in: old.workspace, roles: old.roles, label: old.label, lifetime: lifetime)
                    APIKeyAdmin.show(key, record, json: json)
                    if revokes { try await admin.revoke(id) }
                }
            }
        }
    }
}
