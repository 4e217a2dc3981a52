import Agents
import Domain
import ShimProtocol

enum AgentText {
    static func json(_ agent: AgentDirectory, _ generation: Int) throws -> JSONValue {
        let record = try agent.exitRecord(generation)
        let condition = try agent.condition
        return [
            "agent_id": .string(agent.id.description), "state": .string(condition.state.rawValue),
            "evidence": .string(condition.evidence), "launches": .integer(Int64(generation)),
            "log": .string(agent.logPath(generation)),
            "exit_status": record.map { .integer(Int64($0.code)) } ?? .null,
            "log_bytes": record.map { .integer(Int64(clamping: $0.logLength)) } ?? .null,
        ]
    }

    static func receipt(_ receipt: MessageLedger.Receipt, _ key: RequestID, json: Bool) -> String {
        let line: JSONValue = [
            "message_id": .string(key.description), "stage": .string(receipt.stage.name),
            "log_offset": .integer(Int64(clamping: receipt.offset)), "reason": .string(Printable.text(receipt.reason)),
        ]
        return json
            ? line.text : "\(receipt.stage.name)\(receipt.reason.isEmpty ? "" : ": \(Printable.text(receipt.reason))")"
    }
}
