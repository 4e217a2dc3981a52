package import Domain

/// A terminal server could not be started, or did not answer.
package typealias TerminalError = CodedError<TerminalErrorCode>

package enum TerminalErrorCode: Hashable, Sendable {
    /// tmux ended with an error; the message has its own words.
    case commandFailed
    /// The answer of tmux is malformed.
    case unexpectedAnswer
}
