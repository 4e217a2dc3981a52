internal import CLinux
package import Domain
internal import Foundation
package import NIOPosix
internal import Sandboxing
internal import Terminals

/// Checks from outside whether everything of the agents is where it belongs. It trusts nothing that an agent reports.
package struct SecurityScan: Sendable {
    /// A condition that must not exist.
    package struct Incident: Hashable, Sendable {
        /// The kind of an incident; the raw value is its name in logs and audit rows.
        package enum Kind: String, Hashable, Sendable, CaseIterable {
            /// A process that runs as an agents' user, or in a sandbox, and descends from no shim.
            case processOutside = "process_outside"
            /// A client that could type is attached to an agent's terminal.
            case strangerAtTerminal = "stranger_at_terminal"
            /// Others than the node's user could reach a directory or a socket of an agent.
            case permissionsChanged = "permissions_changed"
        }

        package let kind: Kind
        package let subject: String
        /// The workspace it belongs to, where that is known.
        package let workspace: WorkspaceID?
        /// True when the look itself corrected it.
        package var isOver = false
    }

    /// An agent that lives on this node.
    package struct RunningAgent: Hashable, Sendable {
        package let id: JobID
        package let workspace: WorkspaceID

        /// Takes the parts as given; does not check that the agent runs.
        package init(id: JobID, workspace: WorkspaceID) {
            self.id = id
            self.workspace = workspace
        }
    }

    private let configuration: AgentConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let changes: UserChanges?

    /// Takes the parts as given; scans nothing yet. `changes` reports processes that take an agents' user; without it only a
    /// look finds them.
    package init(configuration: AgentConfiguration, group: MultiThreadedEventLoopGroup, changes: UserChanges? = nil) {
        self.configuration = configuration
        self.group = group
        self.changes = changes
    }

    /// Whether `arrivals` can find anything.
    package var reportsChanges: Bool { self.changes != nil }

    /// Of the processes that took an agents' user since the last call, and of those in `again`, the ones that run outside of
    /// every shim's tree, by their numbers. An incident that a second call has too is certain: what is left of a shim that
    /// has just died ends meanwhile. Throws when something cannot be read.
    package func arrivals(again: some Collection<Int32>) async throws -> [Int32: Incident] {
        let numbers = Set(again).union(self.changes?.next() ?? [])
        guard !numbers.isEmpty else { return [:] }
        return try await self.configuration.files.run {
            let (own, users) = (geteuid(), self.users)
            var found: [Int32: Incident] = [:]
            for number in numbers {
                // Another process may have the number by now. One without a parent may be such a rest for longer; it is left
                // to the looks of `look(at:)`.
                guard let process = try ProcessEntry.one(number), users.contains(process.user), !process.isDead,
                    process.parent > 1
                else { continue }
                let ancestors = try Self.ancestors(of: process)
                if ancestors[process.parent] != nil, !Self.descendsFromShim(process, ancestors, own) {
                    found[number] = try self.outside(process)
                }
            }
            return found
        }
    }

    private static func ancestors(of process: ProcessEntry) throws -> [Int32: ProcessEntry] {
        var (found, parent): ([Int32: ProcessEntry], Int32) = ([:], process.parent)
        // Bounded, in case the numbers change while they are read.
        while found.count < 64, found[parent] == nil, let entry = try ProcessEntry.one(parent) {
            found[parent] = entry
            parent = entry.parent
        }
        return found
    }

    /// Removes what is kept of agents that ended longer ago than their retention, but not of `living` ones. Returns how
    /// many were removed, and why others were not; throws when the agents' directory cannot be read.
    package func removeEnded(except living: [RunningAgent]) async throws -> (removed: Int, problems: [String]) {
        let limit = Date(timeIntervalSinceNow: -Double(self.configuration.retention.components.seconds))
        let root = self.configuration.root
        let kept = Set(living.map(\.id))
        return try await self.configuration.files.run {
            try AgentDirectory.removeEnded(root: root, before: limit, except: kept)
        }
    }

    /// Stops every process of an agent where it stands; how many there are. Throws as `AgentOperator.freeze`.
    package func freeze(_ agent: RunningAgent) async throws -> Int {
        let directory = AgentDirectory(root: self.configuration.root, id: agent.id)
        guard let generation = try await self.configuration.files.run({ try directory.generations.last }) else {
            return 0
        }
        return try await AgentOperator(directory: directory, generation: generation, group: self.group).freeze()
    }

    /// One look. Processes are identified by their number and start, so that the caller can wait for a second look: one
    /// whose shim has just died is ended by the kernel in a moment. Throws when something cannot be read: then nothing is
    /// known, which is not the same as that there is no incident.
    ///
    /// `scansOutside` says whether all processes of the host are looked through, or only what belongs to the agents.
    package func look(at agents: [RunningAgent], scansOutside: Bool) async throws -> [Incident] {
        let (found, connected) = try await self.configuration.files.run {
            let found = (scansOutside ? try self.outside() : []) + (try agents.flatMap { try self.permissions($0) })
            return (found, agents.isEmpty ? [] : try self.connectedViews(of: agents))
        }
        return found + (await self.strangers(connected))
    }

    // MARK: - Processes

    /// The users of agents, none where the host has none to give away.
    private var users: Range<UInt32> { self.configuration.plan.host.subordinates?.users ?? 0..<0 }

    private func outside() throws -> [Incident] {
        let users = self.users
        let processes = try ProcessEntry.all()
        let byNumber = Dictionary(processes.map { ($0.pid, $0) }) { first, _ in first }
        let own = geteuid()
        return try processes.compactMap { process in
            guard users.contains(process.user) || process.user == own, !process.isDead,
                !Self.descendsFromShim(process, byNumber, own)
            else { return nil }
            // Of the node's own user's processes only those count that see a sandbox's root.
            guard users.contains(process.user) || Self.isInSandbox(process.pid) else { return nil }
            return try self.outside(process)
        }
    }

    private func outside(_ process: ProcessEntry) throws -> Incident {
        let path = try self.configuration.plan.workspace(ofUser: process.user)
        return Incident(
            kind: .processOutside,
            subject:
                "process \(process.pid) (\(Printable.text(process.name)), started \(process.start)) of user \(process.user)",
            workspace: path.flatMap(Self.workspace))
    }

    private static func descendsFromShim(
        _ process: ProcessEntry, _ byNumber: [Int32: ProcessEntry], _ own: UInt32
    ) -> Bool {
        var parent = byNumber[process.parent]
        // Bounded, in case the numbers change while they are read.
        for _ in 0..<64 {
            guard let current = parent else { return false }
            if current.user == own, current.name == "orchestra-shim" { return true }
            parent = byNumber[current.parent]
        }
        return false
    }

    /// Nil for a directory that is not named by a workspace, such as that of the escape test.
    private static func workspace(at path: String) -> WorkspaceID? {
        do { return try WorkspaceID(URL(fileURLWithPath: path).lastPathComponent) } catch { return nil }
    }

    private static func isInSandbox(_ process: Int32) -> Bool {
        unsafe access("/proc/\(process)/root\(SandboxPlan.guardPath)", F_OK) == 0
    }

    // MARK: - Files and sockets

    private func permissions(_ agent: RunningAgent) throws -> [Incident] {
        let directory = AgentDirectory(root: self.configuration.root, id: agent.id)
        guard let generation = try directory.generations.last else { return [] }
        let directories = [self.configuration.root, directory.path, directory.generationPath(generation)]
        let sockets = [directory.socketPath(generation), try directory.latestView(generation)].compactMap { $0 }
        return try (directories.map { ($0, mode_t(0o700)) } + sockets.map { ($0, mode_t(0o600)) }).compactMap {
            path, mode in
            guard let status = try HostFiles.status(of: path),
                status.st_mode & 0o077 != 0 || status.st_uid != geteuid(),
                // tmux lets its group in where the umask does; the directory around it is what counts.
                mode == 0o700 || status.st_mode & 0o007 != 0 || status.st_uid != geteuid()
            else { return nil }
            // Closed again at once: the sockets inside are open to every process that comes this far.
            let isClosed = unsafe chmod(path, mode) == 0
            return Incident(
                kind: .permissionsChanged,
                subject:
                    "\(path) had mode \(String(status.st_mode & 0o7777, radix: 8)) of user \(status.st_uid)\(isClosed ? ", closed again" : "")",
                workspace: agent.workspace, isOver: isClosed)
        }
    }

    /// The agents whose newest terminal has a connected client, and that terminal's socket: seen in one file of the
    /// kernel's.
    private func connectedViews(of agents: [RunningAgent]) throws -> [(agent: RunningAgent, view: String)] {
        let text = String(decoding: try HostFiles.contents(of: "/proc/net/unix") ?? [], as: UTF8.self)
        let connected = Set(
            text.split(separator: "\n").compactMap { line -> String? in
                let fields = line.split(separator: " ")
                guard fields.count == 8, fields[5] == "03", fields[7].hasPrefix(self.configuration.root) else {
                    return nil
                }
                return String(fields[7])
            })
        guard !connected.isEmpty else { return [] }
        return try agents.compactMap { agent in
            let directory = AgentDirectory(root: self.configuration.root, id: agent.id)
            guard let generation = try directory.generations.last,
                let view = try directory.latestView(generation), connected.contains(view)
            else { return nil }
            return (agent, view)
        }
    }

    /// Clients that could type at one of these terminals.
    private func strangers(_ views: [(agent: RunningAgent, view: String)]) async -> [Incident] {
        var incidents: [Incident] = []
        for (agent, view) in views {
            for client in await TmuxServer(executable: self.configuration.tmux, socket: view).writingClients() {
                incidents.append(
                    Incident(
                        kind: .strangerAtTerminal, subject: "client \(client) at the terminal of agent \(agent.id)",
                        workspace: agent.workspace))
            }
        }
        return incidents
    }
}
