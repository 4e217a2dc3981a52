import ArgumentParser
import Domain
import Foundation
import Jobs

/// Reads the audit trail on the command line, and verifies archives of it.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Shows the audit trail, and verifies its archives.",
        subcommands: [List.self, Verify.self, Anchor.self, Rotate.self], defaultSubcommand: List.self)

    /// `orchestra audit list`.
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows the audit trail of the workspace, the newest event first.",
            discussion: """
                Requests without an accepted credential belong to no workspace, and no admin of one may read them: they \
                are shown with --without-workspace to those who have the master key and Redis.

                EXAMPLES
                  orchestra audit
                  orchestra audit --limit 1000 --json
                  orchestra audit --without-workspace                 refused log-ins, among others
                  orchestra audit --before 1795996268105-0/1          continues where an earlier page ended
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @OptionGroup var length: ListLimit
        @Flag(help: "Shows the events that belong to no workspace.") var withoutWorkspace = false
        @Option(help: ArgumentHelp("Only events before this place, which the page before printed.", valueName: "place"))
        var before: String?

        func run() async throws {
            try await reporting {
                let (limit, json, before, hasNone) = (
                    self.length.limit, self.output.json, self.before, self.withoutWorkspace
                )
                if let before, !AuditCommand.isPlace(before) {
                    throw CommandError(.usage, "--before '\(before)': expected the place that an earlier page printed")
                }
                try await self.scope.withSession { session, workspace in
                    try await session.keys.verifyMaster()
                    let page = try await session.queue.auditTrail(
                        of: hasNone ? nil : workspace, before: before, limit: limit)
                    if !json, page.events.isEmpty {
                        show(hasNone ? "no events without a workspace" : "no events of workspace '\(workspace)'")
                    }
                    for row in page.rows { show(json ? row.text : AuditText.line(row)) }
                    if let next = page.next { note("there may be older events: --before \(next)") }
                }
            }
        }
    }

    /// Whether a text has the form of `AuditPage.next`.
    static func isPlace(_ text: String) -> Bool {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: "-", omittingEmptySubsequences: false) + halves.dropFirst()
        return halves.count == 2 && parts.count == 3
            && parts.allSatisfy { UInt64($0) != nil && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    }
}
