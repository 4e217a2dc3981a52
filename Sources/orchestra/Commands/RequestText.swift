import Domain
import Intake

extension RequestDraft.Field {
    /// How the command line calls the field.
    var option: String {
        switch self {
        case .action: "the action"
        case .params: "the params"
        case .requestID: "--request-id"
        case .priority: "--priority"
        case .delay: "--delay"
        case .runAt: "--run-at"
        case .deadline: "--deadline"
        case .uniqueKey: "--unique"
        case .tags: "--tag"
        case .isRepeatable: "--repeatable"
        }
    }
}

extension IntakeRefusal {
    var commandError: CommandError {
        switch self.kind {
        case .notAllowed, .quarantined: CommandError(.notPermitted, self.message)
        case .unusable, .inUse: CommandError(.data, self.message)
        case .full: CommandError(.unavailable, self.message)
        }
    }
}

extension IntakeAnswer {
    func accepted() throws -> (JobID, isDuplicate: Bool, state: JobState?) {
        switch self {
        case .accepted(let id, let isDuplicate, let state): return (id, isDuplicate, state)
        case .refused(let refusal): throw refusal.commandError
        }
    }

    /// The line of a batch's output.
    func line(of request: JobRequest) -> JSONValue {
        switch self {
        case .accepted(let id, let isDuplicate, let state):
            .object(
                [
                    JSONMember("request_id", .string(request.requestID.description)),
                    JSONMember("job_id", .string(id.description)), JSONMember("duplicate", .bool(isDuplicate)),
                ] + (state.map { [JSONMember("state", .string($0.rawValue))] } ?? []))
        case .refused(let refusal):
            ["request_id": .string(request.requestID.description), "error": .string(refusal.message)]
        }
    }
}
