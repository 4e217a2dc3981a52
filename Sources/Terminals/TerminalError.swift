/// Why a tmux server could not be started, or did not do what it was asked.
package struct TerminalError: Error, Hashable, CustomStringConvertible {
    package let message: String

    package init(message: String) { self.message = message }

    package var description: String { self.message }
}
