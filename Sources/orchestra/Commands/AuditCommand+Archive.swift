import ArgumentParser
import AuditArchive
import Domain
import Foundation

extension AuditCommand {
    /// `orchestra audit verify`.
    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verifies archives of the audit trail: every row, link and signature.",
            discussion: """
                A path is the chain of one node, or a directory with such chains. Nothing else is needed: no Redis, no
                configuration, no secret. Exit status 0 when everything holds, 1 with the first row or segment that does not.

                An anchor is a head that was kept elsewhere (orchestra audit anchor): with one, a removal from the end of the
                archive is found, too. A fingerprint that is known from elsewhere shows that it is this node's archive.

                EXAMPLES
                  orchestra audit verify ~/.local/state/orchestra/archive
                  orchestra audit verify /backup/archive/n1 --anchor n1-monday.json --key 9f86d081884c7d65…
                """)

        @Argument(help: "Directories with archives.") var paths: [String]
        @OptionGroup var output: OutputOptions
        @Option(help: ArgumentHelp("The fingerprint of a key that must sign each chain.", valueName: "fingerprint"))
        var key: String?
        @Option(help: ArgumentHelp("A head that was kept elsewhere; may be repeated.", valueName: "file"))
        var anchor: [String] = []

        func run() async throws {
            try await reporting {
                let audit = ArchiveAudit(
                    anchors: try self.anchor.map(ArchiveAudit.anchor), key: self.key?.lowercased(),
                    isJSON: self.output.json)
                guard try audit.run(self.paths) else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
            }
        }
    }

    /// `orchestra audit anchor`.
    struct Anchor: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the newest signed head of this node's archive, to be kept elsewhere.",
            discussion: """
                EXAMPLE
                  orchestra audit anchor >/safe/place/n1-$(date +%F).json
                """)

        @OptionGroup var common: CommonOptions
        @Argument(help: "The chain of a node; this node's by default.") var path: String?

        func run() async throws {
            try await reporting {
                guard let directory = try self.path ?? self.common.nodeContext().chainDirectory() else {
                    throw CommandError.configuration("the archive is off (audit.archive)")
                }
                guard let head = try ArchiveVerification.head(of: directory) else {
                    throw CommandError(.unavailable, "there is no archive in \(Printable.text(directory, limit: 400))")
                }
                show(String(decoding: head.line, as: UTF8.self))
            }
        }
    }

    /// `orchestra audit rotate`.
    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes another key for this node's archive, and prints its fingerprint.",
            discussion: """
                The node takes it within seconds, without a restart: a row that the key before signs introduces it. Run it
                as the node's user, with the node's configuration.

                EXAMPLE
                  orchestra audit rotate
                """)

        @OptionGroup var common: CommonOptions

        func run() async throws {
            try await reporting {
                let context = try self.common.nodeContext()
                guard let chain = try context.chainDirectory(), try ArchiveVerification.head(of: chain) != nil else {
                    throw CommandError(.unavailable, "this node has no archive")
                }
                show(try context.makeNextArchiveKey())
            }
        }
    }
}
