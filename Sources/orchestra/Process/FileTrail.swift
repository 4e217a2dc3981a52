import Agents
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

    /// Returns the answer to the server once the file has the event; nil when it cannot be written. Blocks.
    func append(_ event: JSONValue) -> EgressAcknowledgement? {
        let line = event.bytes + [UInt8(ascii: "\n")]
        let file = unsafe open(self.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return nil }
        defer { close(file) }
        // One write of an event is not mixed with those of other programs.
        guard unsafe write(file, line, line.count) == line.count else { return nil }
        guard event["phase"] == "decided", event["decision"] == "allow",
            let name = event["credential"]?.string
        else { return EgressAcknowledgement() }
        do {
            let workspace = try WorkspaceID(event["workspace"]?.string ?? "")
            let secret = try self.secrets.secrets([try DefinitionName(name)], of: workspace).first
            let value = String(decoding: secret?.bytes ?? [], as: UTF8.self)
            return EgressAcknowledgement(credential: value.trimmingCharacters(in: .whitespacesAndNewlines))
        } catch {
            return EgressAcknowledgement(refusal: .init(.credentialMissing, "\(error)"))
        }
    }
}
