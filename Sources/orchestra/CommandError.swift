import Agents
import Domain
import EgressServer
import Intake
import Jobs
import Policy
import Redis
import Sandboxing
import Supervision
import TransportSecurity

/// The failure of a command: one sentence for people and the exit status for programs (sysexits.h).
struct CommandError: Error, CustomStringConvertible {
    /// The exit statuses, as sysexits.h names them.
    enum Status: Int32 {
        case jobFailed = 1
        case usage = 64
        case data = 65
        case unavailable = 69
        case gaveUp = 70
        case output = 74
        case notPermitted = 77
        case configuration = 78
    }

    let status: Status
    let message: String

    init(_ status: Status, _ message: String) {
        self.status = status
        self.message = message
    }

    static func configuration(_ message: String) -> CommandError { CommandError(.configuration, message) }

    /// Gives any error of the modules its status.
    init(_ error: any Error) {
        switch error {
        case let error as CommandError: self = error
        case let error as TransferTimeout: self.init(.gaveUp, error.message)
        case let error as InputFileError: self.init(.usage, error.message)
        case let error as DomainError: self.init(.usage, error.description)
        case let error as DraftError: self.init(.usage, error.message(naming: \.option))
        case let error as PolicyError: self.init(.configuration, error.description)
        case let error as EgressServerError:
            self.init(error.code == .socket ? .unavailable : .configuration, error.description)
        case let error as TLSError: self.init(.configuration, error.description)
        case let error as RedisError:
            self.init(error.code == .configuration ? .configuration : .unavailable, error.description)
        case let error as JobQueueError:
            self.init(
                [.nameTaken, .unreadable, .wrongMasterKey, .wrongLanes, .wrongFiles].contains(error.code)
                    ? .configuration : .unavailable,
                error.description)
        case let error as SupervisionError: self.init(.gaveUp, error.description)
        case let error as AgentError: self.init(.gaveUp, error.description)
        case let error as SandboxError: self.init(.unavailable, error.description)
        default: self.init(.gaveUp, "\(error)")
        }
    }

    var description: String { self.message }
}
