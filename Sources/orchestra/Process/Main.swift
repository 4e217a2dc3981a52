import ArgumentParser
import Foundation
import Redaction

/// The entry point: parses the command line, runs the command, and ends with its status.
@main
enum Main {
    static func main() async {
        // A pipe without a reader is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        if let number = unsafe self.malformedArgument(CommandLine.argc, CommandLine.unsafeArgv) {
            self.end(CommandError(.usage, "argument \(number) is not valid UTF-8"))
        }
        do {
            var command = try Orchestra.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = Orchestra.exitCode(for: error)
            let text = Orchestra.fullMessage(for: error)
            if code == .success {
                // Help and version are output.
                if !text.isEmpty { show(text) }
            } else if !text.isEmpty {
                // An error quotes what was typed.
                _ = Output.write(Redactor.redacted(Array((text + "\n").utf8)), to: STDERR_FILENO)
            }
            exit(code.rawValue)
        }
    }

    /// The position of the first argument that is not UTF-8; the standard library would replace its bytes silently.
    static func malformedArgument(
        _ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    ) -> Int? {
        for number in 0..<Int(count) {
            guard let argument = unsafe arguments[number] else { return nil }
            if unsafe String(validatingCString: argument) == nil { return number }
        }
        return nil
    }

    private static func end(_ error: CommandError) -> Never {
        _ = Output.write(Array("error: \(Redactor.redacted(error.message))\n".utf8), to: STDERR_FILENO)
        exit(error.status.rawValue)
    }
}
