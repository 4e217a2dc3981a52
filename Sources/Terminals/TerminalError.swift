package import Domain

/// A terminal server could not be started, or did not answer.
package typealias TerminalError = CodedError<TerminalErrorCode>

/// Why a terminal server did not start or did not answer.
package enum TerminalErrorCode: Hashable, Sendable {
    /// tmux ended with an error; the message has its own words.
    case commandFailed
    /// The answer of tmux is malformed.
    case unexpectedAnswer
    /// The server was started and then did not answer: it was ended, and its program may have run.
    case lost
}
