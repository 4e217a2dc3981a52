import ArgumentParser
import Foundation
import Redaction
import SystemPackage

struct RedactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redact", abstract: "Copies standard input to standard output with secrets replaced by markers.",
        discussion: """
            Each secret becomes [redacted:KIND]; all other bytes, and the number of lines, stay as they are. Needs neither
            Redis nor a configuration. Lines come out as they come in; what may be the begin of a secret is held back
            until more of it was read.

            EXAMPLES
              journalctl -u app | orchestra redact
              orchestra redact < build.log > shareable.log
            """)

    func run() async throws {
        try await reporting {
            let pump = DescriptorPump()
            var redactor = Redactor()
            while true {
                let bytes = try await pump.next(from: STDIN_FILENO)
                var output: [UInt8] = []
                output.reserveCapacity(bytes.count)
                if bytes.isEmpty { redactor.finish(into: &output) } else { redactor.redact(bytes, into: &output) }
                do { try await pump.write(output, to: STDOUT_FILENO) } catch let error as Errno {
                    Output.end(error.rawValue)
                }
                if bytes.isEmpty { return }
            }
        }
    }
}
