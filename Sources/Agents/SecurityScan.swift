internal import CLinux
package import Domain
internal import Foundation
package import NIOPosix
internal import Sandboxing
internal import Terminals

/// Looks from outside whether everything of the agents is where it belongs. It trusts nothing that an agent says.
package struct SecurityScan: Sendable {
    /// What must not be.
    package struct Incident: Hashable, Sendable {
        package enum Kind: String, Hashable, Sendable, CaseIterable {
            /// A process that runs as an agents' user, or in a sandbox, and descends from no shim.
            case processOutside = "process_outside"
            /// Somebody is attached to an agent's terminal who could type.
            case strangerAtTerminal = "stranger_at_terminal"
            /// Others than the node's user could reach a directory or a socket of an agent.
            case permissionsChanged = "permissions_changed"
        }

        package let kind: Kind
        package let subject: String
        /// Whose it is, where that is known.
        package let workspace: WorkspaceID?
        /// True when it was put right by being seen.
        package var isOver = false
    }

    /// An agent that lives on this node.
    package struct RunningAgent: Hashable, Sendable {
        package let id: JobID
        package let workspace: WorkspaceID

        package init(id: JobID, workspace: WorkspaceID) {
            self.id = id
            self.workspace = workspace
        }
    }

    private let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup

    package init(configuration: AgentConfiguration, group: MultiThreadedEventLoopGroup) {
        self.configuration = configuration
        self.group = group
    }

    /// Takes away what is kept of agents that ended longer ago than their retention; how many. `living` are not touched.
    package func removeEnded(except living: [RunningAgent]) -> Int {
        let seconds = Double(self.configuration.retention.components.seconds)
        return AgentDirectory.removeEnded(
            root: self.configuration.root, before: Date(timeIntervalSinceNow: -seconds),
            except: Set(living.map(\.id)))
    }

    /// Stops every process of an agent where it stands; how many there are. Throws as `AgentOperator.freeze`.
    package func freeze(_ agent: RunningAgent) async throws -> Int {
        let directory = AgentDirectory(root: self.configuration.root, id: agent.id)
        guard let generation = directory.generations.last else { return 0 }
        return try await AgentOperator(directory: directory, generation: generation, group: self.group).freeze()
    }

    /// One look. Processes are told by their number and start, so that the caller can wait for a second sight: one whose
    /// shim has just died is ended by the kernel in a moment.
    ///
    /// `scansOutside` tells whether all processes of the host are looked through, or only what is the agents'.
    package func look(at agents: [RunningAgent], scansOutside: Bool) async -> [Incident] {
        var incidents = scansOutside ? self.outside() : []
        if agents.isEmpty { return incidents }
        for agent in agents { incidents += self.permissions(agent) }
        incidents += await self.strangers(agents)
        return incidents
    }

    // MARK: - Processes

    private func outside() -> [Incident] {
        let users = self.configuration.plan.host.subordinates?.users ?? 0..<0
        let processes = ProcessEntry.all()
        let byNumber = Dictionary(processes.map { ($0.pid, $0) }) { first, _ in first }
        let own = geteuid()
        return processes.compactMap { process in
            guard users.contains(process.user) || process.user == own, !process.isDead else { return nil }
            var parent = byNumber[process.parent]
            // Bounded, should the numbers change while they are read.
            for _ in 0..<64 {
                guard let current = parent else { break }
                if current.user == own, current.name == "orchestra-shim" { return nil }
                parent = byNumber[current.parent]
            }
            // Of the node's own user's processes only those count that see a sandbox' root.
            guard users.contains(process.user) || Self.isInSandbox(process.pid) else { return nil }
            let path = self.configuration.plan.workspace(ofUser: process.user)
            let name = path.flatMap { URL(fileURLWithPath: $0).lastPathComponent }
            return Incident(
                kind: .processOutside,
                subject:
                    "process \(process.pid) (\(Printable.text(process.name)), started \(process.start)) of user \(process.user)",
                workspace: name.flatMap { try? WorkspaceID($0) })
        }
    }

    private static func isInSandbox(_ process: Int32) -> Bool {
        unsafe access("/proc/\(process)/root\(SandboxPlan.guardPath)", F_OK) == 0
    }

    // MARK: - Files and sockets

    private func permissions(_ agent: RunningAgent) -> [Incident] {
        let directory = AgentDirectory(root: self.configuration.root, id: agent.id)
        guard let generation = directory.generations.last else { return [] }
        let directories = [self.configuration.root, directory.path, directory.generationPath(generation)]
        let sockets = [directory.socketPath(generation), directory.latestView(generation)].compactMap { $0 }
        return (directories.map { ($0, mode_t(0o700)) } + sockets.map { ($0, mode_t(0o600)) }).compactMap {
            path, mode in
            var status = stat()
            guard unsafe lstat(path, &status) == 0, status.st_mode & 0o077 != 0 || status.st_uid != geteuid(),
                // tmux lets its group in where the umask does; the directory around it is what counts.
                mode == 0o700 || status.st_mode & 0o007 != 0 || status.st_uid != geteuid()
            else { return nil }
            // Closed again at once: the sockets inside are open to whoever comes this far.
            let isClosed = unsafe chmod(path, mode) == 0
            return Incident(
                kind: .permissionsChanged,
                subject:
                    "\(path) had mode \(String(status.st_mode & 0o7777, radix: 8)) of user \(status.st_uid)\(isClosed ? ", closed again" : "")",
                workspace: agent.workspace, isOver: isClosed)
        }
    }

    /// Terminals that somebody is connected to are seen in one file of the kernel's; only those are asked by whom.
    private func strangers(_ agents: [RunningAgent]) async -> [Incident] {
        let text =
            FileManager.default.contents(atPath: "/proc/net/unix").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let connected = Set(
            text.split(separator: "\n").compactMap { line -> String? in
                let fields = line.split(separator: " ")
                guard fields.count == 8, fields[5] == "03", fields[7].hasPrefix(self.configuration.root) else {
                    return nil
                }
                return String(fields[7])
            })
        var incidents: [Incident] = []
        for agent in agents where !connected.isEmpty {
            let directory = AgentDirectory(root: self.configuration.root, id: agent.id)
            guard let generation = directory.generations.last, let view = directory.latestView(generation),
                connected.contains(view)
            else { continue }
            let clients = await TmuxServer(executable: self.configuration.tmux, socket: view).writingClients()
            for client in clients {
                incidents.append(
                    Incident(
                        kind: .strangerAtTerminal, subject: "client \(client) at the terminal of agent \(agent.id)",
                        workspace: agent.workspace))
            }
        }
        return incidents
    }
}

/// What `/proc` says of a process.
private struct ProcessEntry {
    let pid: Int32
    let parent: Int32
    let name: String
    let user: UInt32
    let start: UInt64
    let isDead: Bool

    /// More than that a host does not have without having other troubles.
    private static let most = 16_384

    static func all() -> [ProcessEntry] {
        let list = unsafe [orc_process](unsafeUninitializedCapacity: self.most) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            count = Int(max(0, unsafe orc_processes(start, Int32(buffer.count))))
        }
        return list.map { process in
            let name = unsafe withUnsafeBytes(of: process.name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            return ProcessEntry(
                pid: process.pid, parent: process.parent, name: name, user: process.user, start: process.start,
                isDead: process.state == CChar(UInt8(ascii: "Z")) || process.state == CChar(UInt8(ascii: "X")))
        }
    }
}
