import Domain
import ScriptedModel
import ShimProtocol

/// What follows for the fields from what was seen.
extension AgentCheckReport {
    private static let noModel = "its profile reaches no model"

    private static func calls(_ count: Int) -> String { count == 1 ? "1 call" : "\(count) calls" }

    /// `output` is what the program printed about itself; nil when it could not be run.
    mutating func judgeProbe(_ definition: AgentDefinition, output: String?, problem: String?) {
        guard !definition.probe.isEmpty else { return self.add(.probe, nil, "the definition has none") }
        guard let output, let version = ProgramVersion(in: output) else {
            return self.add(.probe, false, problem ?? "it printed no version: \(output ?? "")")
        }
        switch definition.verification {
        case .verified(let range) where range.contains(version):
            self.add(.probe, true, "\(version), which the definition was verified with")
        case .verified(let range):
            self.add(
                .probe, false, "\(version); the definition was verified with \(range.lowerBound) to \(range.upperBound)"
            )
        case .unverified: self.add(.probe, true, "\(version); the definition is unverified")
        case .unstated: self.add(.probe, true, "\(version); the definition names no versions")
        }
    }

    /// The launch that gets an answer without a tool. `mark` is part of its prompt.
    mutating func judgeFirst(_ run: AgentCheckRun, _ definition: AgentDefinition, mark: String, hasModel: Bool) {
        self.add(.start, run.hasRun, run.hasRun ? "its program ran in its sandbox" : run.summary)
        if definition.screen.contains(where: { $0.state == .ready }) {
            let isSeen = run.screens.contains(.ready)
            self.add(.ready, isSeen, isSeen ? "its screen said so" : "no rule for it matched its screen")
        } else {
            self.add(.ready, nil, "the definition has no rule for it")
        }
        guard hasModel else {
            let isShown = run.shows(mark)
            self.add(.prompt, isShown, isShown ? "its terminal showed it" : "its terminal did not show it")
            self.add(.model, nil, Self.noModel)
            return
        }
        let isDelivered = run.calls.contains { call in call.userTexts.contains { $0.contains(mark) } }
        self.add(
            .prompt, isDelivered, isDelivered ? "the model received it" : "the model did not receive it; \(run.summary)"
        )
        guard let first = run.calls.first else { return self.add(.model, false, "no call came; \(run.summary)") }
        let isServed = run.calls.allSatisfy { $0.status == 200 }
        self.add(
            .model, isServed,
            isServed
                ? "\(Self.calls(run.calls.count)), the first \(first.method) \(first.path) of \(first.model ?? "no model")"
                : "the answers had the statuses \(run.statuses)")
    }

    /// `isShown` says that the key was seen where the program could read it.
    mutating func judgeCredential(_ run: AgentCheckRun, hasModel: Bool, isShown: Bool) {
        guard hasModel else { return self.add(.credential, nil, Self.noModel) }
        guard !run.calls.isEmpty else { return self.add(.credential, nil, "no call came") }
        if isShown { return self.add(.credential, false, "the key was seen inside the sandbox") }
        let isRight = run.calls.allSatisfy(\.hasRightKey)
        self.add(
            .credential, isRight,
            isRight ? "the key was added outside, in place of a placeholder" : "a call came with another key")
    }

    /// The launch that is to write a file.
    mutating func judgeWork(_ run: AgentCheckRun, isEdited: Bool, hasModel: Bool) {
        let isDone = run.record?.isSuccess == true
        if hasModel {
            self.add(
                .edit, isEdited,
                isEdited ? "\(ToolCall.file) is in the work tree" : "\(ToolCall.file) was not made; \(run.summary)")
        } else {
            self.add(.edit, nil, Self.noModel)
        }
        self.add(.exit, isDone, run.summary)
    }

    /// `reached` and `refused` are hosts other than those of models.
    mutating func judgeNetwork(reached: [String], refused: [String], hasModel: Bool) {
        let tried = refused.isEmpty ? "" : "; refused: \(refused.joined(separator: ", "))"
        if !reached.isEmpty { return self.add(.network, false, "reached: \(reached.joined(separator: ", "))\(tried)") }
        self.add(.network, true, (hasModel ? "only the model was reached" : "nothing was reached") + tried)
    }

    /// The launch whose first call is answered 429.
    mutating func judgeThrottle(_ run: AgentCheckRun) {
        let goesOn = run.record?.isSuccess == true && run.statuses.contains(429) && run.statuses.last == 200
        self.add(
            .throttle, goesOn,
            goesOn ? "it went on after a limit of 2 s" : "it did not go on: \(run.statuses); \(run.summary)")
    }

    /// The launch whose every call is answered 402.
    mutating func judgeBudget(_ run: AgentCheckRun) {
        let count = run.calls.count
        let hasFailed = run.record.map { $0.endedBy == .itself && !$0.isSuccess } ?? false
        let ending = run.record?.summary ?? "it left no exit record"
        self.add(.budget, count == 1 && hasFailed, "\(Self.calls(count)) refused; \(ending)")
    }

    /// The launch that is stopped while the model pauses.
    mutating func judgeStop(_ run: AgentCheckRun) {
        guard !run.calls.isEmpty else { return self.add(.stop, nil, "no call came during which it could be stopped") }
        let isStopped = run.record?.endedBy == .stop
        self.add(
            .stop, isStopped, isStopped ? "its whole tree ended" : run.record?.summary ?? "it left no exit record")
    }
}
