package import Domain

/// What a sandbox allows: one file under `Policies/sandbox/`. The layers themselves (own user, pid, ipc,
/// uts, net and cgroup namespaces, minimal read-only root, empty environment) are not optional.
package struct SandboxProfile: Hashable, Sendable {
    package let name: DefinitionName
    package let summary: String
    /// The weakest sandbox that will do; on a host that gives less, nothing of this profile is run.
    package let lowestTier: SandboxTier
    /// Processes and threads inside, the sandbox's own first process included.
    package let processLimit: Int
    package let openFileLimit: Int
    package let fileSizeLimit: Int
    /// Bytes of memory that each process may have for itself, where no control group limits the memory of all together.
    /// A limit of each process counts reserved memory too, which breaks sanitizers, Java and Go.
    package let memoryLimit: Int
    /// Bytes of memory that all processes may have together, where the host gave control groups.
    package let treeMemoryLimit: Int
    /// The processors' time that all processes may take together, in hundredths of one; as above.
    package let processorPercent: Int?
    /// Sizes of the memory-backed directories, in bytes.
    package let temporarySize: Int
    package let homeSize: Int
    package let environment: [String: String]
    /// Directories of the host shown read-only at their own path, such as a toolchain's.
    package let readOnlyPaths: [String]
    /// Whether programs may use Unix stream sockets, where the sandbox has a user of its own (tier 3).
    package let allowsUnixSockets: Bool
    /// Whether the host's directory of agents' programs is shown read-only at `SandboxPlan.toolsPath`.
    package let usesTools: Bool
    /// Names of egress files. A sandbox of a profile without any has no listener and reaches nothing outside.
    package let egress: [DefinitionName]

    /// Takes the parts as given; sizes are bytes. Without `processorPercent` the processors' time has no limit.
    package init(
        name: DefinitionName, summary: String, lowestTier: SandboxTier, processLimit: Int, openFileLimit: Int,
        fileSizeLimit: Int, memoryLimit: Int, treeMemoryLimit: Int, processorPercent: Int? = nil,
        temporarySize: Int, homeSize: Int, environment: [String: String], readOnlyPaths: [String],
        allowsUnixSockets: Bool = true, usesTools: Bool = false, egress: [DefinitionName] = []
    ) {
        self.usesTools = usesTools
        self.egress = egress
        self.allowsUnixSockets = allowsUnixSockets
        self.name = name
        self.summary = summary
        self.lowestTier = lowestTier
        self.processLimit = processLimit
        self.openFileLimit = openFileLimit
        self.fileSizeLimit = fileSizeLimit
        self.memoryLimit = memoryLimit
        self.treeMemoryLimit = treeMemoryLimit
        self.processorPercent = processorPercent
        self.temporarySize = temporarySize
        self.homeSize = homeSize
        self.environment = environment
        self.readOnlyPaths = readOnlyPaths
    }

    /// The same profile without access to anything outside, for work of the node's own.
    package var withoutEgress: SandboxProfile {
        SandboxProfile(
            name: self.name, summary: self.summary, lowestTier: self.lowestTier, processLimit: self.processLimit,
            openFileLimit: self.openFileLimit, fileSizeLimit: self.fileSizeLimit, memoryLimit: self.memoryLimit,
            treeMemoryLimit: self.treeMemoryLimit, processorPercent: self.processorPercent,
            temporarySize: self.temporarySize, homeSize: self.homeSize, environment: self.environment,
            readOnlyPaths: self.readOnlyPaths, allowsUnixSockets: self.allowsUnixSockets,
            usesTools: self.usesTools)
    }
}
