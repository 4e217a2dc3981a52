import ArgumentParser
import Audit
import Credentials
import Domain
import Foundation
import Jobs

struct CredentialsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credentials",
        abstract:
            "Credentials of a workspace for services outside, such as keys of model providers; no sandbox sees them.",
        subcommands: [Add.self, List.self, Rotate.self, Remove.self], defaultSubcommand: List.self)

    /// Where the value comes from: never from the command line, where every user of this machine sees it.
    struct Value: ParsableArguments {
        @Option(help: "A file with the value; without it the value is read from standard input.") var file: String?

        /// The value without the newline at its end. Throws status 65 when there is none.
        func read() throws -> String {
            let data: Data?
            if let file {
                guard let handle = FileHandle(forReadingAtPath: file) else {
                    throw CommandError(.data, "the file \(Printable.text(file)) cannot be read")
                }
                data = try handle.read(upToCount: ProviderCredential.limit + 2)
            } else {
                data = try FileHandle.standardInput.read(upToCount: ProviderCredential.limit + 2)
            }
            var text = String(decoding: data ?? Data(), as: UTF8.self)
            while let last = text.last, last.isNewline { text.removeLast() }
            guard !text.isEmpty else { throw CommandError(.data, "the value of the credential is empty") }
            return text
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stores a credential, sealed, under a name that entries of the egress rules use.",
            discussion: """
                EXAMPLES
                  orchestra credentials add anthropic --host api.anthropic.com < key.txt
                  orchestra credentials add openai --host api.openai.com --file key.txt --workspace acme
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var value: Value
        @Argument(help: "The credential's name.") var name: String
        @Option(help: "A host that it may be sent to; may be given several times.") var host: [String]

        func run() async throws {
            try await reporting {
                let (name, value, hosts) = (try DefinitionName(self.name), try self.value.read(), self.host)
                try await self.scope.withSession { session, workspace in
                    let store = try session.providerCredentials()
                    let exists = CommandError(
                        .data, "there is a credential '\(name)'; replace its value with: orchestra credentials rotate")
                    guard try await !store.names(of: workspace).contains(name) else { throw exists }
                    let now = try await session.queue.time()
                    let credential = try ProviderCredential(
                        name: name, value: value, hosts: hosts, createdAt: now, changedAt: now)
                    try await session.note(.credentialChanged, name.name, "added", in: workspace, at: now)
                    guard try await store.add(credential, of: workspace) else { throw exists }
                    Orchestra.say("the credential \(name) of workspace \(workspace) is stored")
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the credentials of a workspace, without their values.",
            discussion: "EXAMPLE\n  orchestra credentials list --json")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await reporting {
                let json = self.output.json
                try await self.scope.withSession { session, workspace in
                    let store = try session.providerCredentials()
                    let names = try await store.names(of: workspace)
                    if !json, names.isEmpty { Orchestra.say("workspace \(workspace) has no credentials") }
                    for name in names {
                        do {
                            guard let credential = try await store.credential(name, of: workspace) else { continue }
                            Orchestra.say(json ? Self.json(credential).text : Self.line(credential))
                        } catch let error as CredentialsError {
                            // The others are of interest too.
                            let line: JSONValue = ["name": .string(name.name), "problem": .string(error.message)]
                            Orchestra.say(json ? line.text : "\(name)  \(error.message)")
                        }
                    }
                }
            }
        }

        private static func json(_ credential: ProviderCredential) -> JSONValue {
            [
                "name": .string(credential.name.name), "hosts": .array(credential.hosts.map { .string($0) }),
                "created_at": .string(RFC3339.text(of: credential.createdAt)),
                "changed_at": .string(RFC3339.text(of: credential.changedAt)),
            ]
        }

        private static func line(_ credential: ProviderCredential) -> String {
            "\(credential.name)  for \(credential.hosts.joined(separator: ", "))  changed "
                + RFC3339.text(of: credential.changedAt)
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replaces the value of a credential; the next request uses the new one.",
            discussion: "EXAMPLE\n  orchestra credentials rotate anthropic < new-key.txt")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var value: Value
        @Argument(help: "The credential's name.") var name: String

        func run() async throws {
            try await reporting {
                let (name, value) = (try DefinitionName(self.name), try self.value.read())
                try await self.scope.withSession { session, workspace in
                    let store = try session.providerCredentials()
                    guard let old = try await store.credential(name, of: workspace) else {
                        throw CommandError(.data, "there is no credential '\(name)' in workspace \(workspace)")
                    }
                    let now = try await session.queue.time()
                    let credential = try ProviderCredential(
                        name: name, value: value, hosts: old.hosts, createdAt: old.createdAt, changedAt: now)
                    try await session.note(.credentialChanged, name.name, "replaced", in: workspace, at: now)
                    try await store.put(credential, of: workspace)
                    Orchestra.say("the credential \(name) of workspace \(workspace) is replaced")
                }
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a credential; requests that need it are refused from then on.",
            discussion: "EXAMPLE\n  orchestra credentials remove anthropic")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The credential's name.") var name: String

        func run() async throws {
            try await reporting {
                let name = try DefinitionName(self.name)
                try await self.scope.withSession { session, workspace in
                    let store = try session.providerCredentials()
                    guard try await store.names(of: workspace).contains(name) else {
                        throw CommandError(.data, "there is no credential '\(name)' in workspace \(workspace)")
                    }
                    let now = try await session.queue.time()
                    try await session.note(.credentialChanged, name.name, "removed", in: workspace, at: now)
                    _ = try await store.remove(name, of: workspace)
                    Orchestra.say("the credential \(name) of workspace \(workspace) is removed")
                }
            }
        }
    }
}
