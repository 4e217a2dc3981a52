import Domain
import Foundation
import Sandboxing

/// Where the program of an agent's definition is on this host.
struct AgentProgram: Sendable {
    /// Nil for a program that this host cannot show: `agents.tools` is not set.
    let path: String?
    let definition: AgentDefinition

    init(_ definition: AgentDefinition, tools: String?) {
        self.definition = definition
        let program = definition.argv.first ?? ""
        guard program.hasPrefix(SandboxPlan.toolsPath + "/") else {
            self.path = program
            return
        }
        self.path = tools.map { $0 + program.dropFirst(SandboxPlan.toolsPath.count) }
    }

    /// Why it cannot be started, nil when it can.
    var problem: String? {
        guard let path else { return "set agents.tools to the directory with its program" }
        return FileManager.default.isExecutableFile(atPath: path) ? nil : "\(path) is not there, or not executable"
    }
}
