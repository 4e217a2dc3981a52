import Domain
import EgressServer
import Intake
import Jobs
import Policy
import Redis
import Sandboxing
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
    /// The error of a module that caused this one; nil if there is none.
    let underlying: (any Error)?

    init(_ status: Status, _ message: String, underlying: (any Error)? = nil) {
        self.status = status
        self.message = message
        self.underlying = underlying
    }

    static func configuration(_ message: String) -> CommandError { CommandError(.configuration, message) }

    /// Gives any error of the modules its status.
    init(_ error: any Error) {
        switch error {
        case let error as CommandError: self = error
        case let error as TransferTimeout: self.init(.gaveUp, error.message, underlying: error)
        case let error as DraftError: self.init(.usage, error.message(naming: \.option), underlying: error)
        default: self.init(Self.status(of: error), "\(error)", underlying: error)
        }
    }

    private static func status(of error: any Error) -> Status {
        switch error {
        case is DomainError: .usage
        case is PolicyError, is TLSError: .configuration
        case is SandboxError: .unavailable
        case let error as EgressServerError: error.code == .socket ? .unavailable : .configuration
        case let error as RedisError: error.code == .configuration ? .configuration : .unavailable
        case let error as JobQueueError:
            [.nameTaken, .unreadable, .wrongMasterKey, .wrongLanes, .wrongFiles].contains(error.code)
                ? .configuration : .unavailable
        default: .gaveUp
        }
    }

    var description: String { self.message }
}
