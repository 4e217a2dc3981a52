import Agents
import Credentials
import Domain
import Egress
import EgressServer
import Foundation
import Jobs
import Sandboxing
import ShimProtocol

/// The trail of a program that runs by hand where there is no Redis: a file with one event a line. Credentials are the files of
/// the secrets directory; there are no budgets.
struct FileTrail: Sendable {
    let path: String
    let secrets: SecretStore
    /// Events that are older are removed. Size alone removes none: a program could push out what it did before.
    let retention: Duration
    /// The file is not written above this size in bytes: a program cannot fill the disk with it.
    var limit = 64 * 1024 * 1024
    /// The clock of the events' times, in milliseconds since the epoch.
    var now: @Sendable () -> UInt64 = { Host.wallMilliseconds() }

    /// Removes the events that are older than the retention. Throws `HostFileError` when the file cannot be read or
    /// replaced; then it has all of them. Blocks.
    func trim() throws(HostFileError) {
        guard try HostFiles.status(of: self.path) != nil, let file = self.open() else { return }
        defer { close(file) }
        _ = try self.removeOld()
    }

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
        // Once more after old events were removed from a full file.
        for _ in 0..<2 {
            guard let file = self.open() else { return false }
            defer { close(file) }
            var status = stat()
            guard unsafe fstat(file, &status) == 0 else { return false }
            // One write of an event is not mixed with those of other programs.
            if status.st_size < self.limit { return unsafe Glibc.write(file, line, line.count) == line.count }
            do {
                guard try self.removeOld() else { return false }
            } catch {
                return false  // A full file that cannot be trimmed takes nothing, as one that is full of young events.
            }
        }
        return false
    }

    /// The file, locked against other programs that write or trim it; nil when it cannot be opened. One that was replaced
    /// while this waited for the lock is opened again.
    private func open() -> Int32? {
        for _ in 0..<16 {
            let file = unsafe Glibc.open(self.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard file >= 0 else { return nil }
            var (own, named) = (stat(), stat())
            if flock(file, LOCK_EX) == 0, unsafe fstat(file, &own) == 0, unsafe lstat(self.path, &named) == 0,
                own.st_ino == named.st_ino
            {
                return file
            }
            close(file)
        }
        return nil
    }

    /// Removes the events up to the last old one before the first young one; whether there were any. The caller has the
    /// lock. Throws when the file cannot be read or replaced; then it has all events.
    private func removeOld() throws(HostFileError) -> Bool {
        let oldest = Int64(clamping: self.now()) - self.retention.milliseconds
        // A file that is full of young events is not read as a whole for each refused request.
        let head = try HostFiles.contents(of: self.path, limit: 64 * 1024) ?? []
        if let time = head.firstIndex(of: Self.newline).flatMap({ Self.time(of: head[..<$0]) }), time >= oldest {
            return false
        }
        let bytes = try HostFiles.contents(of: self.path) ?? []
        var (start, kept) = (0, 0)
        while let end = bytes[start...].firstIndex(of: Self.newline) {
            let time = Self.time(of: bytes[start..<end])
            start = end + 1
            // A line that cannot be read goes with the old ones around it.
            guard let time else { continue }
            guard time < oldest else { break }
            kept = start
        }
        guard kept > 0 else { return false }
        try HostFiles.replace(self.path, with: Array(bytes[kept...]))
        return true
    }

    private static let newline = UInt8(ascii: "\n")

    private static func time(of line: ArraySlice<UInt8>) -> Int64? {
        JSONValue(ifValid: Array(line))?["time"]?.integer
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
