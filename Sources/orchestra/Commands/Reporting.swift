import ArgumentParser
import Foundation
import Redaction

/// Runs the body of a command; an error becomes one line on standard error, without secrets, and a status.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let code as ExitCode {
        throw code
    } catch {
        let failure = CommandError(error)
        _ = Output.write(Redactor.redacted(Array("error: \(failure.message)\n".utf8)), to: STDERR_FILENO)
        throw ExitCode(failure.status.rawValue)
    }
}
