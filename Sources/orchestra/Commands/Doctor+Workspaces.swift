import Domain
import Foundation
import Jobs

extension Doctor {
    /// Where the files of workspaces are. Where all nodes are to have the same, tries that this process and the nodes that
    /// run see each other's files and locks.
    static func workspaces(_ context: Context) async -> [Finding] {
        do {
            switch try context.limits().homes {
            case .wait:
                return [
                    Finding(level: .ok, name: Self.check, detail: "each on its home; jobs wait for one that is gone")
                ]
            case .move(let time):
                let seconds = time.components.seconds
                let copies = try context.copiesDirectory()
                if let copies { _ = try Host.privateDirectory(copies) }
                let files = copies.map { "with its last copy in \($0)" } ?? "without its files"
                return [
                    Finding(
                        level: .ok, name: Self.check,
                        detail: "each on its home; one whose home is gone for \(seconds) s moves, \(files)")
                ]
            case .shared:
                let directory = SharedDirectory(workspaces: context.stateDirectory + "/workspaces")
                let nodes = try await QueueSession.with(context) { session in
                    try await session.access.lanes.first?.queue.livingNodes() ?? []
                }
                let tier = try context.settings.required("sandbox.tier")
                return Self.users(tier) + Self.findings(of: directory, nodes: nodes)
            }
        } catch {
            return [Finding(level: .fail, name: Self.check, detail: CommandError(error).message)]
        }
    }

    private static let check = "workspaces"

    private static func findings(of directory: SharedDirectory, nodes: [LivingNode]) -> [Finding] {
        guard nodes.count > 1 else {
            return [
                Finding(
                    level: .warn, name: Self.check,
                    detail:
                        "shared, but that could not be tried: \(nodes.count) nodes run. Start two, on machines of their own, and check again on each"
                )
            ]
        }
        return nodes.map { node in
            let name = Printable.text(node.name)
            guard let problem = directory.problem(with: node) else {
                return Finding(level: .ok, name: Self.check, detail: "the file and the lock of node '\(name)' are seen")
            }
            return Finding(
                level: .fail, name: Self.check,
                detail: "not shared with node '\(name)': \(problem). Mount one file system at the directory workspaces "
                    + "of the state directory on all nodes, or set workspaces.shared to no")
        }
    }

    /// The users that sandboxes of tiers 3 and 4 run as are numbered on each machine.
    private static func users(_ tier: String) -> [Finding] {
        guard tier != "1", tier != "2" else { return [] }
        return [
            Finding(
                level: .warn, name: Self.check,
                detail:
                    "the users of sandboxes are numbered on each machine, so a workspace's files would belong to different ones: set sandbox.tier to 2 where the nodes are on several machines"
            )
        ]
    }
}
