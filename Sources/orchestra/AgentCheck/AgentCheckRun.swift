import Domain
import ScriptedModel
import ShimProtocol

/// What was seen of one launch of an agent under a check.
struct AgentCheckRun: Sendable {
    /// How it ended; nil when it never began, or left no record.
    let record: ExitRecord?
    /// What the model was asked meanwhile.
    let calls: [ScriptedCall]
    /// What its terminal showed.
    let output: [UInt8]
    /// What its screen rules concluded, in order.
    let screens: [ScreenRule.State]
    /// Why it could not be run or did not end by itself.
    let problem: String?

    /// Its program ran.
    var hasRun: Bool {
        switch self.record?.endedBy {
        case nil, .launchFailed, .hostFailed: false
        case .itself, .stop, .orphaned, .logQuota, .logFailed: true
        }
    }

    /// How it ended, and the last of what it showed where that was a failure.
    var summary: String {
        let words = self.record?.summary ?? self.problem ?? "it left no exit record"
        guard self.record?.isSuccess != true, self.record?.endedBy != .stop else { return words }
        let shown = TerminalText.plain(String(decoding: self.output.suffix(400), as: UTF8.self))
        return self.output.isEmpty ? words : "\(words): \(shown)"
    }

    /// The statuses of the model's answers, in order.
    var statuses: [Int] { self.calls.map(\.status) }

    func shows(_ text: String) -> Bool { self.output.firstRange(of: Array(text.utf8)) != nil }
}
