/// Why an agent or a command could not be run, or how it failed.
package struct AgentError: Error, Hashable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Its directory, terminal or sandbox could not be set up; the program never ran.
        case launchFailed
        /// The program ended by itself other than with status 0.
        case failed
        /// The program, or its shim without an exit record, was ended from outside: how far it had come nobody knows.
        case crashed
        /// What runs of it could not be proved gone; nothing may be launched beside it.
        case notGone
        /// Another node owns it now.
        case replaced
    }

    package let code: Code
    package let message: String

    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
