package import Domain
package import Foundation
internal import Sandboxing
internal import ShimProtocol

/// What an agent does as its node noted it, and how long what is left of it is kept.
extension AgentDirectory {
    /// Keeps what the agent does, for people.
    func note(_ status: AgentStatus) throws {
        let value: JSONValue = ["state": .string(status.state.rawValue), "evidence": .string(status.evidence)]
        try HostFiles.replace("\(self.path)/\(ShimFiles.state)", with: value.bytes)
    }

    /// What the agent does: as its node noted it, unless its last launch proves otherwise.
    package var condition: AgentStatus {
        get throws {
            guard let generation = try self.generations.last else {
                return AgentStatus(state: .unknown, evidence: "it has no launch on this machine")
            }
            let noted = try self.noted
            if let noted, noted.state == .quarantined { return noted }
            if let record = try self.exitRecord(generation) {
                return AgentStatus(state: AgentState(of: record), evidence: "its exit record: \(record.summary)")
            }
            guard try self.isAlive(generation) else {
                return AgentStatus(state: .unknown, evidence: "its shim does not answer and left no exit record")
            }
            return noted ?? AgentStatus(state: .unknown, evidence: "its node has not noted a state yet")
        }
    }

    private var noted: AgentStatus? {
        get throws {
            guard let bytes = try HostFiles.contents(of: "\(self.path)/\(ShimFiles.state)") else { return nil }
            // A malformed note is a note that is missing: it is only ever shown.
            guard let value = JSONValue(ifValid: bytes), let name = value["state"]?.string,
                let state = AgentState(rawValue: name)
            else { return nil }
            return AgentStatus(state: state, evidence: value["evidence"]?.string ?? "")
        }
    }

    /// When its last launch ended; nil while it may run, and when its shim left no record.
    package var endedAt: Date? {
        get throws {
            guard let last = try self.generations.last, try self.exitRecord(last) != nil,
                let status = try HostFiles.status(of: "\(self.generationPath(last))/\(ShimFiles.exit)")
            else { return nil }
            return Date(timeIntervalSince1970: TimeInterval(status.st_mtim.tv_sec))
        }
    }

    /// Removes the directories of agents that ended before `limit` and are not among `kept`. Returns how many were
    /// removed, and why others were not.
    package static func removeEnded(
        root: String, before limit: Date, except kept: Set<JobID>
    ) throws -> (removed: Int, problems: [String]) {
        var (removed, problems) = (0, [String]())
        for directory in try self.all(root: root) where !kept.contains(directory.id) {
            do {
                guard let end = try directory.endedAt, end < limit else { continue }
                try directory.remove()
                removed += 1
            } catch {
                problems.append("\(error)")
            }
        }
        return (removed, problems)
    }
}
