package import Domain
import Supervision

/// Why a vector cannot be read.
package struct VectorError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A scenario for a supervisor: what to start, and what to do to it.
package struct SupervisorVector: Sendable {
    package let name: String
    package let supervisor: JSONValue
    package let operations: [JSONValue]

    package init(_ json: JSONValue) throws {
        guard let name = json["name"]?.string, let supervisor = json["supervisor"],
            let trace = json["trace"]?.array
        else { throw VectorError("expected a vector with name, supervisor and trace") }
        self.name = name
        self.supervisor = supervisor
        self.operations = trace.compactMap { $0["op"] }
    }
}

/// A refusal in OTP's words: what a vector's result says after `error:`.
struct Refusal: Error {
    let text: String

    init(_ text: String) { self.text = text }

    init(_ error: SupervisionError) {
        self.text =
            switch error.code {
            case .invalidSpecification(let rule): Self.text(of: rule)
            case .alreadyStarted: "already_started"
            case .alreadyPresent: "already_present"
            case .notFound: "not_found"
            case .running: "running"
            case .restarting: "restarting"
            case .simpleOneForOne: "simple_one_for_one"
            case .startFailed: "start_failed"
            case .leaked: "leaked"
            case .notRunning: "noproc"
            case .gaveUp, .failedToStart, .killed: "shutdown"
            }
    }

    private static func text(of rule: SpecificationRule) -> String {
        switch rule {
        case .invalidIntensity: "bad_flags:invalid_intensity"
        case .invalidPeriod: "bad_flags:invalid_period"
        case .duplicateID: "bad_child_spec:duplicate_child_name"
        case .emptyID: "bad_child_spec:missing_id"
        case .oneTemplate: "bad_start_spec"
        case .significantWithoutAutoShutdown, .significantPermanent: "bad_child_spec:bad_combination"
        case .invalidShutdown: "bad_child_spec:invalid_shutdown"
        case .invalidBackoff: "bad_child_spec:invalid_backoff"
        case .invalidHeartbeatLimit: "bad_child_spec:invalid_heartbeat_limit"
        }
    }
}

extension Supervisor.Configuration {
    /// Reads a vector's flags; throws `Refusal` for values that this type cannot even hold.
    init(_ json: JSONValue, name: String) throws {
        let strategies: [String: RestartStrategy] = [
            "one_for_one": .oneForOne, "one_for_all": .oneForAll, "rest_for_one": .restForOne,
            "simple_one_for_one": .simpleOneForOne,
        ]
        let shutdowns: [String: AutoShutdown] = [
            "never": .never, "any_significant": .anySignificant, "all_significant": .allSignificant,
        ]
        guard let strategy = strategies[json["strategy"]?.string ?? "one_for_one"] else {
            throw Refusal("bad_flags:invalid_strategy")
        }
        guard let intensity = (json["intensity"] ?? 1).integer else { throw Refusal("bad_flags:invalid_intensity") }
        guard let period = (json["period"] ?? 5).integer else { throw Refusal("bad_flags:invalid_period") }
        guard let shutdown = shutdowns[json["auto_shutdown"]?.string ?? "never"] else {
            throw Refusal("bad_flags:invalid_auto_shutdown")
        }
        self.init(
            name: name, strategy: strategy, intensity: Int(intensity), period: .seconds(period), autoShutdown: shutdown)
    }
}
