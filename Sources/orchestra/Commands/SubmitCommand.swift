import Agents
import ArgumentParser
import Audit
import Cryptography
import Domain
import Foundation
import Jobs
import Policy

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
            """)

    @OptionGroup var common: CommonOptions
    @Argument(help: "The action's exact name.") var action: String
    @Option(help: ArgumentHelp("A text param; 'name:=JSON' gives any other type.", valueName: "name=value"))
    var param: [String] = []
    @Option(help: ArgumentHelp("A file with all params as one JSON object; - is standard input.", valueName: "file"))
    var json: String?
    @Option(help: "The idempotency key, a UUID; a new one when it is left out.") var requestID: String?
    @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?
    @Option(help: "high, normal or low: what of the workspace runs first.") var priority = "normal"
    @Option(help: ArgumentHelp("Runs it this much later, in seconds.", valueName: "seconds")) var delay: Int64?
    @Option(help: ArgumentHelp("Runs it at this time, such as 2026-12-24T18:00:00Z.", valueName: "time"))
    var runAt: String?
    @Option(help: ArgumentHelp("Does not run it after this time, nor beyond it.", valueName: "time"))
    var deadline: String?
    @Flag(help: "Prints JSON, one object a line.") var jsonOutput = false
    @Flag(help: "Waits for the end and prints the result; status 1 when the job was not completed.") var wait = false
    @Flag(help: "As --wait, and shows an agent's terminal while it runs on this machine.") var follow = false

    func run() async throws {
        try await reporting {
            let context = try self.common.context(extra: self.workspace.map { ["workspace": $0] } ?? [:])
            let request = JobRequest(
                workspace: try context.workspace(), action: try ActionName(self.action),
                requestID: try RequestID(self.requestID ?? UUID().uuidString), params: try self.params(),
                actor: "cli:\(NSUserName())", priority: try self.urgency(), start: try self.start(),
                deadline: try self.deadline.map { try Self.time($0, "--deadline") })
            let (json, waits, follows) = (self.jsonOutput, self.wait || self.follow, self.follow)
            try await QueueSession.with(context) { session in
                let (id, isDuplicate) = try await request.submit(session, policy: try context.policy())
                if json {
                    let line: JSONValue = ["job_id": .string(id.description), "duplicate": .bool(isDuplicate)]
                    show(line.text)
                } else {
                    show(isDuplicate ? "job \(id) (this request id came before)" : "job \(id)")
                }
                guard waits else { return }
                let watcher = JobWatcher(
                    session: session, workspace: request.workspace,
                    agents: follows ? context.stateDirectory + "/agents" : nil,
                    json: json)
                let job = try await watcher.watch(id)
                guard job.state == .completed else { throw ExitCode(CommandError.Status.jobFailed.rawValue) }
            }
        }
    }

    private func urgency() throws -> Priority {
        let names: [String: Priority] = ["high": .high, "normal": .normal, "low": .low]
        guard let priority = names[self.priority] else {
            throw CommandError(.usage, "--priority \(Printable.text(self.priority)): expected high, normal or low")
        }
        return priority
    }

    private func start() throws -> JobStart {
        if let delay = self.delay {
            guard self.runAt == nil else { throw CommandError(.usage, "--delay and --run-at exclude each other") }
            guard delay >= 0, Duration.seconds(delay) <= JobStart.longestDelay else {
                throw CommandError(.usage, "--delay \(delay): expected seconds from 0 to a year")
            }
            return .after(.seconds(delay))
        }
        return try self.runAt.map { .at(try Self.time($0, "--run-at")) } ?? .now
    }

    /// Milliseconds since the epoch of an RFC 3339 time.
    private static func time(_ text: String, _ option: String) throws -> UInt64 {
        let formats = [Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)]
        guard let date = formats.lazy.compactMap({ try? $0.parse(text) }).first, date.timeIntervalSince1970 > 0 else {
            throw CommandError(
                .usage, "\(option) \(Printable.text(text)): expected a time such as 2026-12-24T18:00:00Z")
        }
        return UInt64(date.timeIntervalSince1970 * 1000)
    }

    /// The params as one JSON object; a file's bytes are taken as they are.
    private func params() throws -> [UInt8] {
        if let file = self.json {
            guard self.param.isEmpty else { throw CommandError(.usage, "--json and --param exclude each other") }
            let data =
                file == "-" ? try FileHandle.standardInput.readToEnd() : FileManager.default.contents(atPath: file)
            guard let data else { throw CommandError(.usage, "the file \(file) cannot be read") }
            return Array(data)
        }
        var members: [JSONMember] = []
        for text in self.param {
            guard let equals = text.firstIndex(of: "=") else {
                throw CommandError(.usage, "--param \(Printable.text(text)): expected name=value or name:=JSON")
            }
            let value = String(text[text.index(after: equals)...])
            var name = text[..<equals]
            let isJSON = name.hasSuffix(":")
            if isJSON { name = name.dropLast() }
            guard !name.isEmpty, !members.contains(where: { $0.name == name }) else {
                throw CommandError(.usage, "--param \(Printable.text(text)): expected each name once")
            }
            members.append(JSONMember(String(name), isJSON ? try JSONParser.parse(Array(value.utf8)) : .string(value)))
        }
        return JSONValue.object(members).bytes
    }
}

/// A request on its way into the queue: decided, audited, stored.
struct JobRequest: Sendable {
    let workspace: WorkspaceID
    let action: ActionName
    let requestID: RequestID
    let params: [UInt8]
    let actor: String
    var priority = Priority.normal
    var start = JobStart.now
    /// Milliseconds since the epoch.
    var deadline: UInt64?

    /// Returns the job's id and whether the request had come before. Throws status 77 when the policy denies
    /// (the denial is in the audit trail by then), 65 for unusable params, 69 when the queue is full.
    func submit(_ session: QueueSession, policy: PolicyEngine) async throws -> (JobID, isDuplicate: Bool) {
        try await session.keys.verifyMaster()
        let now = try await session.queue.time()
        let digester = ParamsDigester(key: try await session.keys.digestKey())
        func event(_ kind: AuditEvent.Kind, _ job: JobID?, status: String, rule: String, reason: String) throws
            -> [UInt8]
        {
            AuditEvent(
                kind: kind, workspace: self.workspace, actor: self.actor, action: self.action.name, jobID: job,
                status: status, rule: rule, duration: .zero, errorReason: reason,
                paramsDigest: try digester.digest(self.params), node: "", time: now
            ).encoded
        }
        let rule: String
        switch policy.decide(self.action, params: self.params).decision {
        case .allow(let name): rule = name
        case .deny(let denial):
            try await session.queue.appendAudit(
                try event(.denied, nil, status: "denied", rule: denial.rule, reason: denial.reason))
            throw CommandError(denial.kind == .notAllowed ? .notPermitted : .data, denial.reason)
        }
        let random = try Digests.randomBytes(count: 16)
        guard let bits = UUIDBytes(bytes: random) else { throw CommandError(.gaveUp, "no random bytes") }
        let id = JobID(milliseconds: now, randomHigh: bits.high, randomLow: bits.low)
        let job = Job(
            id: id, workspace: self.workspace, action: self.action, requestID: self.requestID, actor: self.actor,
            submittedAt: now, params: self.params, deadline: self.deadline)
        let results = try await session.queue.submit(
            [
                Submission(
                    job: job, priority: self.priority, start: self.start,
                    auditEvent: try event(.submitted, id, status: "accepted", rule: rule, reason: ""))
            ],
            keys: session.keys)
        switch results.first {
        case .accepted(let id): return (id, false)
        case .duplicate(let id, _): return (id, true)
        case .conflict(let first):
            throw CommandError(
                .data,
                "the request id \(self.requestID) was used for job \(first) with other params; expected a new one")
        case .full:
            throw CommandError(
                .unavailable, "the workspace '\(self.workspace)' has as many waiting jobs as it may; try again later")
        case nil: throw CommandError(.gaveUp, "the queue did not answer")
        }
    }
}
