import ArgumentParser
import Audit
import Budgets
import Domain
import Foundation
import Jobs
import ModelUsage

struct BudgetsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "budgets", abstract: "Limits of what calls of models may use, held over all nodes.",
        subcommands: [List.self, Set.self, Remove.self, Show.self], defaultSubcommand: List.self)

    /// Amounts of money are dollars at the command line and billionths of a dollar inside.
    enum Amount {
        /// Reads an amount; throws status 64 that says what was expected.
        static func read(_ text: String, _ unit: BudgetUnit) throws -> UInt64 {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            let isDecimal = unit == .money && parts.count == 2 && (1...9).contains(parts[1].count)
            let fraction = isDecimal ? parts[1] + String(repeating: "0", count: 9 - parts[1].count) : "0"
            let scale: UInt64 = unit == .money ? 1_000_000_000 : 1
            guard parts.count == 1 || isDecimal,
                parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
                let first = parts.first, let whole = UInt64(first), let rest = UInt64(fraction),
                whole <= BudgetStore.largestAmount / scale, whole * scale + rest <= BudgetStore.largestAmount
            else {
                throw CommandError(
                    .usage,
                    "--amount \(Printable.text(text)): expected "
                        + (unit == .money ? "dollars such as 5 or 2.50, at most 9007199" : "a whole number"))
            }
            return whole * scale + rest
        }
    }

    static func line(_ limit: BudgetLimit) -> String {
        "\(limit.id)  \(limit.unit.text(of: limit.amount)) per \(limit.window.rawValue) for "
            + (limit.name.map { "the \(limit.scope.rawValue) \($0)" } ?? "each \(limit.scope.rawValue)")
    }

    /// The workspace that a limit is of, if it is one; its rows are of interest there.
    static func place(of limit: BudgetLimit) -> WorkspaceID? {
        limit.scope == .workspace ? limit.name.flatMap { WorkspaceID(ifValid: $0) } : nil
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the limits.", discussion: "EXAMPLE\n  orchestra budgets list --json")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await reporting {
                let json = self.output.json
                try await self.scope.withSession { session, _ in
                    let (limits, malformed) = try await session.budgets.stored()
                    if !json, limits.isEmpty, malformed.isEmpty {
                        Orchestra.say("there are no budgets: calls of models are not limited")
                    }
                    for limit in limits { Orchestra.say(json ? Self.json(limit).text : line(limit)) }
                    for (id, error) in malformed {
                        let problem: JSONValue = ["id": .string(id), "problem": .string(error.message)]
                        Orchestra.say(json ? problem.text : "\(Printable.text(id))  \(error.message)")
                    }
                }
            }
        }

        private static func json(_ limit: BudgetLimit) -> JSONValue {
            [
                "id": .string(limit.id), "scope": .string(limit.scope.rawValue),
                "name": limit.name.map { .string($0) } ?? .null, "window": .string(limit.window.rawValue),
                "unit": .string(limit.unit.rawValue), "amount": .integer(Int64(clamping: limit.amount)),
            ]
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sets a limit; what was spent of it stays.",
            discussion: """
                A call is refused with status 402 when a limit has no space for the most that it may use.

                EXAMPLES
                  orchestra budgets set daily --scope workspace --window day --unit money --amount 25.00
                  orchestra budgets set acme-month --scope workspace --name acme --window month --unit tokens --amount 20000000
                  orchestra budgets set each-run --scope job --window run --unit requests --amount 200
                """)

        @OptionGroup var common: WorkspaceScope
        @Argument(help: "The limit's ID.") var id: String
        @Option(help: "Whose calls count together: tenant, workspace, definition or job.") var scope: String
        @Option(help: "The one that is limited; without it each one has the limit for itself.") var name: String?
        @Option(help: "The period: run, day or month (UTC).") var window: String
        @Option(
            help:
                "tokens, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, money, requests or seconds."
        )
        var unit: String
        @Option(help: "How much; dollars for money.") var amount: String

        func run() async throws {
            try await reporting {
                let limit = try self.limit()
                try await self.common.withSession { session, workspace in
                    let now = try await session.queue.time()
                    try await session.note(
                        .budgetChanged, limit.id, line(limit), in: place(of: limit) ?? workspace, at: now)
                    try await session.budgets.set(limit)
                    Orchestra.say(line(limit))
                }
            }
        }

        /// A name that can never match would be a limit that limits nothing. Throws what was expected.
        private static func name(_ text: String, in scope: BudgetScope) throws -> String {
            switch scope {
            case .tenant, .workspace: try WorkspaceID(text).name
            case .definition: try DefinitionName(text).name
            case .job: try JobID(text).description
            }
        }

        private func limit() throws -> BudgetLimit {
            func choice<Choice: RawRepresentable<String> & CaseIterable>(
                _ option: String, _ text: String, _ type: Choice.Type
            ) throws -> Choice {
                guard let choice = Choice(rawValue: text) else {
                    let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
                    throw CommandError(.usage, "--\(option) \(Printable.text(text)): expected one of \(known)")
                }
                return choice
            }
            let unit = try choice("unit", self.unit, BudgetUnit.self)
            let id = try DefinitionName(self.id).name
            let scope = try choice("scope", self.scope, BudgetScope.self)
            return BudgetLimit(
                id: id, scope: scope, name: try self.name.map { try Self.name($0, in: scope) },
                window: try choice("window", self.window, BudgetWindow.self), unit: unit,
                amount: try Amount.read(self.amount, unit))
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a limit.", discussion: "EXAMPLE\n  orchestra budgets remove daily")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The limit's ID.") var id: String

        func run() async throws {
            try await reporting {
                let id = try DefinitionName(self.id).name
                try await self.scope.withSession { session, workspace in
                    // One that cannot be read can be removed, too.
                    let (limits, malformed) = try await session.budgets.stored()
                    let limit = limits.first { $0.id == id }
                    guard limit != nil || malformed.contains(where: { $0.id == id }) else {
                        throw CommandError(.data, "there is no budget '\(id)'")
                    }
                    let now = try await session.queue.time()
                    let place = limit.flatMap(BudgetsCommand.place)
                    try await session.note(.budgetChanged, id, "removed", in: place ?? workspace, at: now)
                    _ = try await session.budgets.remove(id)
                    Orchestra.say("the budget \(id) is removed")
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Shows what a workspace, a definition or a job has spent and reserved of each limit that covers it.",
            discussion: "EXAMPLE\n  orchestra budgets show --workspace acme --definition claude")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Option(help: "An agent definition.") var definition = ""
        @Option(help: "A job's id.") var job = ""
        @Option(help: "Which launch of the job's agent, for limits of a run.") var launch = 1

        func run() async throws {
            try await reporting {
                let (json, definition, job, launch) = (self.output.json, self.definition, self.job, self.launch)
                try await self.scope.withSession { session, workspace in
                    let subject = BudgetSubject(
                        tenant: workspace.name, workspace: workspace.name, definition: definition, job: job,
                        run: "\(job)/\(launch)")
                    let now = try await session.queue.time()
                    let stored = try await session.budgets.stored()
                    for (_, error) in stored.malformed { note("\(error.message); until then calls are refused") }
                    let limits = stored.limits.filter { limit in
                        switch limit.scope {
                        case .definition: !definition.isEmpty
                        case .job: !job.isEmpty
                        case .tenant, .workspace: limit.window != .run || !job.isEmpty
                        }
                    }
                    let status = try await session.budgets.status(of: subject, in: limits, now: now)
                    if !json, status.isEmpty { Orchestra.say("no budget covers calls of workspace \(workspace)") }
                    for part in status {
                        let unit = part.limit.unit
                        let line: JSONValue = [
                            "id": .string(part.limit.id), "unit": .string(unit.rawValue),
                            "amount": .integer(Int64(clamping: part.limit.amount)),
                            "spent": .integer(Int64(clamping: part.spent)),
                            "reserved": .integer(Int64(clamping: part.reserved)),
                            "resets_at": part.limit.window.end(after: now).map { .string(RFC3339.text(of: $0)) }
                                ?? .null,
                        ]
                        Orchestra.say(
                            json
                                ? line.text
                                : "\(part.limit.id)  spent \(unit.text(of: part.spent)) of "
                                    + "\(unit.text(of: part.limit.amount)), reserved \(unit.text(of: part.reserved))"
                        )
                    }
                }
            }
        }
    }
}
