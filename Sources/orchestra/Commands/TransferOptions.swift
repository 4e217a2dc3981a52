import Agents
import ArgumentParser
import Domain
import Foundation
import Policy
import Sandboxing

/// The options of commands that move a workspace's files, and their checks.
struct TransferOptions: ParsableArguments {
    @Option(help: "The largest archive in bytes, up to 1 TiB.") var maxBytes = 1 << 30
    @Option(help: "The most entries of an archive, up to 10 million.") var maxEntries = 100_000
    @Option(help: ArgumentHelp("How long it may take, 1 to 86400 seconds.", valueName: "seconds")) var timeout = 600
    @Option(help: "The sandbox profile that tar runs in, without its egress.") var profile = "default"

    /// The bounds; throws status 64 when one is out of its range.
    func limits() throws -> TransferTally.Limits {
        guard (1...(1 << 40)).contains(self.maxBytes) else {
            throw CommandError(.usage, "--max-bytes \(self.maxBytes): expected 1 to \(1 << 40)")
        }
        guard (1...10_000_000).contains(self.maxEntries) else {
            throw CommandError(.usage, "--max-entries \(self.maxEntries): expected 1 to 10000000")
        }
        guard (1...86_400).contains(self.timeout) else {
            throw CommandError(.usage, "--timeout \(self.timeout): expected 1 to 86400")
        }
        return TransferTally.Limits(bytes: self.maxBytes, entries: self.maxEntries, time: .seconds(self.timeout))
    }

    /// Paths in a workspace as tar gets them. Throws status 64 for one that leads out of it, or is not one.
    static func checked(_ paths: [String]) throws -> [String] {
        try paths.map { path in
            let isPlain = !path.isEmpty && !path.utf8.contains(0) && path.utf8.count <= 4096
            guard isPlain, !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
                throw CommandError(
                    .usage,
                    "the path '\(Printable.text(path, limit: 100))' is not one in a workspace; expected a relative path without '..'"
                )
            }
            return "./" + path
        }
    }

    /// The transfer of the files in a directory of this machine. Throws a `CommandError` when the options or the sandbox
    /// cannot be used; nothing has begun then.
    func transfer(_ directory: String, _ context: Context, _ common: CommonOptions) async throws -> WorkspaceTransfer {
        let limits = try self.limits()
        let name = try DefinitionName(self.profile)
        guard try context.policy().bundle.profiles[name] != nil else {
            throw CommandError(.usage, "there is no sandbox profile '\(Printable.text(self.profile))'")
        }
        // Measured once for all programs of the transfer.
        let tier = try await context.measuredAgents().0.plan.tier
        return try WorkspaceTransfer(
            of: directory, context, profile: name, tier: tier, limits: limits, arguments: common.arguments)
    }
}
