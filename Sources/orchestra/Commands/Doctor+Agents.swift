import Domain
import Foundation
import Policy
import Sandboxing

extension Doctor {
    /// Whether the programs of agents are where sandboxes show them: they are the host's, and no node fetches them.
    static func agentPrograms(_ context: Context, _ bundle: PolicyBundle) -> [Finding] {
        let tools = context.settings.text("agents.tools")
        return bundle.agents.values.filter { bundle.profiles[$0.sandbox]?.usesTools == true }
            .sorted { $0.name.name < $1.name.name }.compactMap { agent in
                let name = "agent \(agent.name)"
                guard let program = agent.argv.first, program.hasPrefix(SandboxPlan.toolsPath + "/") else { return nil }
                guard let tools else {
                    return Finding(
                        level: .warn, name: name,
                        detail: "cannot be started: set agents.tools to the directory with its program")
                }
                let path = tools + program.dropFirst(SandboxPlan.toolsPath.count)
                guard FileManager.default.isExecutableFile(atPath: path) else {
                    return Finding(
                        level: .warn, name: name, detail: "cannot be started: \(path) is not there, or not executable")
                }
                return Finding(level: .ok, name: name, detail: "its program is \(path)")
            }
    }
}
