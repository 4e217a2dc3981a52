import Domain
import Policy
import Sandboxing

extension Doctor {
    /// Whether the programs of agents are where sandboxes show them: they are the host's, and no node fetches them. A
    /// definition that was never tried is not missed.
    static func agentPrograms(_ context: Context, _ bundle: PolicyBundle) -> [Finding] {
        let tools = context.settings.text("agents.tools")
        return bundle.agents.values.filter { bundle.profiles[$0.sandbox]?.usesTools == true }
            .sorted { $0.name.name < $1.name.name }.map { agent in
                let program = AgentProgram(agent, tools: tools)
                let isUnverified = agent.verification == .unverified
                let note = isUnverified ? "; unverified: try it with 'orchestra agents check \(agent.name)'" : ""
                if let problem = program.problem {
                    return Finding(
                        level: isUnverified ? .ok : .warn, name: "agent \(agent.name)",
                        detail: "cannot be started: \(problem)\(note)")
                }
                return Finding(
                    level: isUnverified ? .warn : .ok, name: "agent \(agent.name)",
                    detail: "its program is \(program.path ?? "")\(note)")
            }
    }
}
