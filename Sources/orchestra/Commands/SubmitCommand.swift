import Agents
import ArgumentParser
import Domain
import Foundation
import Intake
import Jobs

struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Asks for an action to be run.",
        discussion: """
            The request is checked against the policy and the action's schema first; then it is stored with its
            request id in one step. Sending the same request id again within a day answers the first job's id.

            EXAMPLES
              orchestra submit shell.run --param command='ls -la /' --wait
              orchestra submit agent.run --param agent=shell --param prompt='echo hello' --follow
              orchestra submit queue.noop --json params.json --request-id 1b4e28ba-2fa1-41d2-883f-0016d3cca427
              orchestra submit --batch requests.jsonl
            """)

    @OptionGroup var common: CommonOptions
    @Argument(help: "The action's exact name.") var action: String?
    @Option(
        help: ArgumentHelp(
            "Many requests at once: a file with one JSON object a line, with action, params and what the options below give (request_id, priority, delay, run_at, deadline, unique, tags, repeatable); - is standard input.",
            valueName: "file"))
    var batch: String?
    @Option(help: ArgumentHelp("A text param; 'name:=JSON' gives any other type.", valueName: "name=value"))
    var param: [String] = []
    @Option(help: ArgumentHelp("A file with all params as one JSON object; - is standard input.", valueName: "file"))
    var json: String?
    @Option(help: "The idempotency key, a UUID; a new one when it is left out.") var requestID: String?
    @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?
    @Option(help: "high, normal or low: what of the workspace runs first; normal when it is left out.") var priority:
        String?
    @Option(help: ArgumentHelp("Runs it this much later, in seconds.", valueName: "seconds")) var delay: Int64?
    @Option(help: ArgumentHelp("Runs it at this time, such as 2026-12-24T18:00:00Z.", valueName: "time"))
    var runAt: String?
    @Option(help: ArgumentHelp("Does not run it after this time, nor beyond it.", valueName: "time"))
    var deadline: String?
    @Option(help: "While a job with this key has not ended, no other with it is taken.") var unique: String?
    @Option(help: "A name to find the job by; may be given up to eight times.") var tag: [String] = []
    @Flag(
        help:
            "States that its effect may happen again: after its node's death it runs again instead of waiting for a person."
    )
    var repeatable = false
    @Flag(help: "Prints JSON, one object a line.") var jsonOutput = false
    @Flag(help: "Waits for the end and prints the result; status 1 when the job was not completed.") var wait = false
    @Flag(help: "As --wait, and shows an agent's terminal while it runs on this machine.") var follow = false

    func run() async throws {
        try await reporting {
            let context = try self.common.context(extra: self.workspace.map { ["workspace": $0] } ?? [:])
            if let file = self.batch { return try await self.submitBatch(file, context) }
            let draft = try self.draft()
            let workspace = try context.workspace()
            let (json, waits, follows) = (self.jsonOutput, self.wait || self.follow, self.follow)
            try await QueueSession.with(context) { session in
                let answer = try await session.submit(draft, actor: Host.actor, context)
                let (id, isDuplicate, state) = try answer.accepted()
                if json {
                    var members = [
                        JSONMember("job_id", .string(id.description)), JSONMember("duplicate", .bool(isDuplicate)),
                    ]
                    if let state { members.append(JSONMember("state", .string(state.rawValue))) }
                    show(JSONValue.object(members).text)
                } else {
                    let known = state.map { ": it is \($0.rawValue)" } ?? ""
                    show(isDuplicate ? "job \(id) (this request id came before\(known))" : "job \(id)")
                }
                guard waits else { return }
                let watcher = JobWatcher(
                    session: session, workspace: workspace,
                    agents: follows ? context.stateDirectory + "/agents" : nil,
                    json: json)
                let job = try await watcher.watch(id)
                guard job.state == .completed else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
            }
        }
    }

    private func draft() throws -> RequestDraft {
        guard let action = self.action else {
            throw CommandError(.usage, "no action is named; expected its exact name, or --batch with a file")
        }
        return RequestDraft(
            action: action, params: try self.params(), requestID: self.requestID ?? UUID().uuidString,
            priority: self.priority, delay: self.delay, runAt: self.runAt, deadline: self.deadline,
            uniqueKey: self.unique, tags: self.tag, isRepeatable: self.repeatable ? true : nil)
    }

    /// A line for each request; status 1 when one was not taken. A file with a line that cannot be used is refused as a
    /// whole, before anything is stored.
    private func submitBatch(_ file: String, _ context: Context) async throws {
        guard self.action == nil, self.param.isEmpty, self.json == nil, self.requestID == nil, self.delay == nil,
            self.priority == nil,
            self.runAt == nil, self.deadline == nil, self.unique == nil, self.tag.isEmpty, !self.wait, !self.follow,
            !self.repeatable
        else { throw CommandError(.usage, "--batch takes everything from its file; expected no other request options") }
        let drafts = try BatchFile.drafts(try InputFile.read(file, limit: BatchFile.sizeLimit))
        try await QueueSession.with(context) { session in
            try BatchFile.check(drafts, in: try context.workspace(), now: try await session.queue.time())
            var allTaken = true
            var answered = 0
            do {
                try await session.submit(drafts, actor: Host.actor, context) { part in
                    answered += part.count
                    for (request, answer) in part {
                        show(answer.line(of: request).text)
                        allTaken = allTaken && answer.isAccepted
                    }
                }
            } catch let error as QueueSession.UnclearSubmission {
                for request in error.requests {
                    let line: JSONValue = [
                        "request_id": .string(request.requestID.description),
                        "error": "it is unknown whether it was stored; submit it again with this request_id",
                    ]
                    show(line.text)
                }
                let rest = drafts.count - answered - error.requests.count
                throw CommandError(
                    .unavailable,
                    "\(error.reason); \(error.requests.count) requests are unclear, and the last \(rest) of the batch were not submitted"
                )
            }
            guard allTaken else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
        }
    }

    /// The params as one JSON object; a file's bytes are taken as they are.
    private func params() throws -> [UInt8] {
        if let file = self.json {
            guard self.param.isEmpty else { throw CommandError(.usage, "--json and --param exclude each other") }
            return InputFile.trimmed(try InputFile.read(file, limit: Job.paramsLimit * 2))
        }
        var members: [(name: String, json: [UInt8])] = []
        for text in self.param {
            guard let equals = text.firstIndex(of: "=") else {
                throw CommandError(.usage, "--param without '=': expected name=value or name:=JSON")
            }
            let value = String(text[text.index(after: equals)...])
            var name = text[..<equals]
            let isJSON = name.hasSuffix(":")
            if isJSON { name = name.dropLast() }
            guard !name.isEmpty, !members.contains(where: { $0.name == name }) else {
                throw CommandError(.usage, "--param \(Printable.text(String(name)))=…: expected each name once")
            }
            // A number keeps the digits that it was written with.
            if isJSON { _ = try JSONParser.parse(Array(value.utf8)) }
            members.append((String(name), isJSON ? Array(value.utf8) : JSONValue.string(value).bytes))
        }
        let texts = members.map { JSONValue.string($0.name).bytes + [UInt8(ascii: ":")] + $0.json }
        return Array("{".utf8) + texts.joined(separator: [UInt8(ascii: ",")]) + Array("}".utf8)
    }
}
