package import Domain

/// A call of a tool that a request offers: it runs a command in the working directory of the agent.
package enum ToolCall: Hashable, Sendable {
    /// A function with its arguments.
    case function(name: String, arguments: JSONValue)
    /// A tool that takes a program of calls, as the code mode of Codex does.
    case program(name: String, input: String)
    /// The shell tool of the Responses API itself.
    case shell

    /// What the command does: each run appends one line to `file`.
    package static let file = "done.txt"
    /// The line that the command appends, and the model's last answer.
    package static let text = "the work is done"
    static let command = "echo \"\(text)\" >> \(file)"

    /// A function that a request offers, with the schema of its arguments.
    typealias Function = (name: String, schema: JSONValue?)

    private static let names = ["bash", "shell", "exec", "command", "terminal"]

    /// The first function of these that runs a command, with arguments by its schema; nil when there is none.
    init?(among functions: [Function]) {
        for function in functions {
            let name = function.name.lowercased()
            guard Self.names.contains(where: { name.contains($0) }),
                let arguments = Self.arguments(for: function.schema)
            else { continue }
            self = .function(name: function.name, arguments: arguments)
            return
        }
        return nil
    }

    /// Arguments by the schema of a function; nil when it takes no command.
    private static func arguments(for schema: JSONValue?) -> JSONValue? {
        guard let properties = schema?["properties"] else { return nil }
        for name in ["command", "cmd"] {
            guard let property = properties[name] else { continue }
            let isList = property["type"] == "array"
            let command = JSONValue.string(Self.command)
            var members = [JSONMember(name, isList ? .array(["bash", "-c", command]) : command)]
            if properties["description"] != nil { members.append(JSONMember("description", "Write the file")) }
            return .object(members)
        }
        return nil
    }
}
