import Domain

/// What held of an agent's definition, field by field.
struct AgentCheckReport: Sendable {
    /// What a field is about, in the order of the report.
    enum Name: String, CaseIterable, Sendable {
        /// The program prints a version that the definition was tried with.
        case probe
        case start
        /// The screen rules recognize that it waits for its prompt.
        case ready
        /// The prompt reaches the model, or else the terminal.
        case prompt
        /// It calls the model, and does so through the sandbox's listener.
        case model
        /// It has a placeholder; the real key is added outside.
        case credential
        /// A tool of its own edits a file of the work tree.
        case edit
        /// It ends with success when the work is done.
        case exit
        /// It reaches nothing but the model.
        case network
        /// It waits when the provider limits it, and goes on.
        case throttle
        /// It asks once when the budget is spent, and ends with a failure.
        case budget
        /// It ends when it is stopped in the middle of an answer.
        case stop
        /// It goes on with an earlier conversation.
        case resume
    }

    /// What came of a field.
    enum Result: String, Sendable {
        case held
        case notHeld = "not held"
        case notTried = "not tried"
    }

    /// One line of the report.
    struct Field: Hashable, Sendable {
        let name: Name
        let result: Result
        let detail: String
    }

    let agent: DefinitionName
    private(set) var fields: [Field] = []

    init(agent: DefinitionName) { self.agent = agent }

    /// Adds a field; nil for one that was not tried. What a program wrote is made printable.
    mutating func add(_ name: Name, _ holds: Bool?, _ detail: String) {
        let result: Result = holds.map { $0 ? Result.held : .notHeld } ?? .notTried
        self.fields.append(Field(name: name, result: result, detail: Printable.text(detail, limit: 300)))
    }

    /// All that was tried held.
    var holds: Bool { self.fields.allSatisfy { $0.result != .notHeld } }

    /// One line a field, for people.
    var lines: [String] {
        self.fields.map { field in
            let name = field.name.rawValue.padding(to: 10)
            return "\(name)  \(field.result.rawValue.padding(to: 9))  \(field.detail)"
        }
    }

    /// The whole report, for programs.
    var json: JSONValue {
        let fields = self.fields.map { field -> JSONValue in
            [
                "field": .string(field.name.rawValue), "result": .string(field.result.rawValue),
                "detail": .string(field.detail),
            ]
        }
        return ["agent": .string(self.agent.name), "held": .bool(self.holds), "fields": .array(fields)]
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - self.count))
    }
}
