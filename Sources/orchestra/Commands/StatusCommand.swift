import ArgumentParser
import CLinux
import Domain
import Foundation

/// `orchestra status`.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows the health and the supervision tree of the node on this machine.",
        discussion: """
            Reads the status of the node with this state directory over a Unix socket that only its user can open. Each
            line of the tree is a supervised child: its state, its restarts, and the reason of its last end.

            EXAMPLES
              orchestra status
              orchestra status --json
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await reporting {
            let context = try self.common.context()
            let document = try Self.fetch(try context.statusSocket())
            guard !self.output.json else { return show(document.text) }
            for line in StatusText(document).lines { show(line) }
        }
    }

    private static func fetch(_ path: String) throws -> JSONValue {
        let descriptor = unsafe orc_connect_unix(path)
        guard descriptor >= 0 else {
            throw CommandError(
                .unavailable,
                "no node runs with this state directory (\(path): \(Host.reason(-descriptor))); start one with: orchestra worker, or orchestra dev"
            )
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        _ = unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let bytes: Data
        do {
            bytes = try file.readToEnd() ?? Data()
        } catch {
            throw CommandError(.unavailable, "the node did not answer within 10 s; it is stopped or overloaded")
        }
        do throws(DomainError) {
            return try JSONParser.parse(Array(bytes), depthLimit: 64)
        } catch {
            throw CommandError(.unavailable, "the status of the node is malformed: \(error.message)")
        }
    }
}
