/// Why a terminal server could not be started or asked.
package struct TerminalError: Error, Hashable, CustomStringConvertible {
    package let message: String

    package init(message: String) { self.message = message }

    package var description: String { self.message }
}
