import ArgumentParser
import Domain
import EgressServer
import Foundation
import Logging
import Redaction
import Sandboxing

/// `orchestra egress-server`: what a node starts to serve the listeners of its sandboxes. Not for people.
struct EgressServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "egress-server", abstract: "Serves the listeners of sandboxes; started by a node.",
        discussion: """
            Reads its configuration from the first line of standard input and the node's acknowledgements of events from the
            others, and writes events to standard output. It ends with its standard input.

            EXAMPLE
              orchestra worker        # starts it where a sandbox profile names egress files
            """,
        shouldDisplay: false)

    func run() async throws {
        try await reporting {
            try Host.refuseRoot()
            let logger = Logger(label: "egress") { _ in
                JSONLogHandler(
                    component: "egress", level: .notice, now: { RFC3339.text(of: Host.wallMilliseconds()) },
                    write: { _ = Output.write($0, to: STDERR_FILENO) })
            }
            try await EgressProcess.run(
                ports: [SandboxPlan.proxyPort], wall: { Host.wallMilliseconds() }, logger: logger)
        }
    }
}
