import ArgumentParser
import Audit
import Credentials
import Domain
import Foundation
import Jobs

struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Tokens of the issuer that are refused although they have not expired.",
        subcommands: [Revoke.self, List.self], defaultSubcommand: List.self)

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Refuses one token, a subject's, or all that were issued so far; on every node within five seconds.",
            discussion: """
                EXAMPLES
                  orchestra tokens revoke --id 0b5f…            the token with this jti
                  orchestra tokens revoke --subject 'auth0|65f0c0'
                  orchestra tokens revoke --everything
                """)

        @OptionGroup var scope: WorkspaceScope
        @Option(help: "The token's id, its jti.") var id: String?
        @Option(help: "The subject whose tokens are refused: those issued up to 60 seconds from now.") var subject:
            String?
        @Flag(help: "Refuses all tokens issued up to 60 seconds from now.") var everything = false

        func run() async throws {
            try await reporting {
                let targets: [TokenDenial.Target] =
                    [self.id.map { .token($0) }, self.subject.map { .subject($0) }].compactMap { $0 }
                    + (self.everything ? [.everything] : [])
                guard let target = targets.first, targets.count == 1 else {
                    throw CommandError(.usage, "expected one of --id, --subject and --everything")
                }
                try await self.scope.withSession { session, workspace in
                    let now = try await session.queue.time()
                    // No token lives longer than a day; its denial needs no more than two.
                    // The issuer's clock may be ahead by the leeway, so a token of now may carry a time of the next minute.
                    let denial = TokenDenial(
                        target: target, issuedBefore: now / 1000 + TokenRules.standardLeeway + 1,
                        until: now / 1000 + 2 * 86_400)
                    let event = try await session.event(
                        .tokensRevoked, in: workspace, action: denial.text, status: "revoked", at: now)
                    try await session.queue.appendAudit(event, of: workspace)
                    try await session.credentials().deny(denial, now: now / 1000)
                    Orchestra.say("refused from now: \(denial.text)")
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists what is refused.", discussion: "EXAMPLE\n  orchestra tokens list")

        @OptionGroup var scope: WorkspaceScope

        func run() async throws {
            try await reporting {
                try await self.scope.withSession { session, _ in
                    let denials = try await session.credentials().allDenials()
                    if denials.isEmpty { Orchestra.say("no token is refused before its end") }
                    for denial in denials { Orchestra.say(denial.text) }
                }
            }
        }
    }
}

extension TokenDenial {
    fileprivate var text: String {
        switch self.target {
        case .token(let id): "the token \(Printable.text(id))"
        case .subject(let name): "tokens of \(Printable.text(name)) issued before \(self.issuedBefore)"
        case .everything: "all tokens issued before \(self.issuedBefore)"
        }
    }
}
