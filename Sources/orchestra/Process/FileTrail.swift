import Agents
import Credentials
import Domain
import Egress
import EgressServer
import ShimProtocol
import Foundation

/// The trail of a program that runs by hand where there is no Redis: a file with one event a line. Credentials are the files of
/// the secrets directory; there are no budgets.
struct FileTrail: Sendable {
    let path: String
    let secrets: SecretStore

    /// The file is not written above this size: a program cannot fill the disk with it.
    private static let limit = 64 * 1024 * 1024

    /// Returns the answer to the server once the file has the event; nil when it cannot be written. Blocks.
    func append(_ event: JSONValue) -> EgressAcknowledgement? {
        var (event, answer) = (event, EgressAcknowledgement())
        if event["phase"] == "decided", event["decision"] == "allow", event["credential"]?.string != nil {
            answer = self.credential(event)
            // The line says what becomes of the request.
            if let refusal = answer.refusal {
                event = .object(
                    (event.members ?? []).filter { $0.name != "decision" && $0.name != "reason" } + [
                        JSONMember("decision", "deny"), JSONMember("reason", .string(refusal.reason.rawValue)),
                    ])
            }
        }
        return self.write(event) ? answer : nil
    }

    private func write(_ event: JSONValue) -> Bool {
        let line = event.bytes + [UInt8(ascii: "\n")]
        let file = unsafe open(self.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0, status.st_size < Self.limit else { return false }
        // One write of an event is not mixed with those of other programs.
        return unsafe Glibc.write(file, line, line.count) == line.count
    }

    /// The credential of the secrets directory, with the checks that a stored one has.
    private func credential(_ event: JSONValue) -> EgressAcknowledgement {
        do {
            let name = try DefinitionName(event["credential"]?.string ?? "")
            let workspace = try WorkspaceID(event["workspace"]?.string ?? "")
            var bytes = try self.secrets.secrets([name], of: workspace).first?.bytes ?? []
            while bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            let credential = try ProviderCredential(
                name: name, value: String(decoding: bytes, as: UTF8.self), hosts: [event["host"]?.string ?? ""],
                createdAt: 0, changedAt: 0)
            return EgressAcknowledgement(credential: credential.value)
        } catch {
            return EgressAcknowledgement(refusal: .init(.credentialMissing, "\(error)"))
        }
    }
}
