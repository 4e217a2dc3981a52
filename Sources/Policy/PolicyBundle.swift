package import Domain
package import Egress
package import Sandboxing

/// Everything under `Policies/`, validated as a whole: each reference leads somewhere.
package struct PolicyBundle: Sendable {
    package private(set) var actions: [ActionName: Action] = [:]
    package private(set) var agents: [DefinitionName: AgentDefinition] = [:]
    package private(set) var profiles: [DefinitionName: SandboxProfile] = [:]
    package private(set) var roles: [DefinitionName: Set<Scope>] = [:]
    /// The scope that each operation of the API asks for.
    package private(set) var operations: [Operation: Scope] = [:]
    /// What the policy's authors expect of it.
    package private(set) var tests: [PolicyTest] = []
    /// Recorded screens, and what is to be concluded from them.
    package private(set) var screenTests: [ScreenTest] = []
    package private(set) var schedules: [DefinitionName: ScheduleDefinition] = [:]
    package private(set) var egress: [DefinitionName: EgressFile] = [:]
    /// The rules of each profile that has egress, by the profile's name: the entries of all its files.
    package private(set) var egressRules: [DefinitionName: EgressRules] = [:]

    /// An action with its compiled schema.
    package struct Action: Sendable {
        package let definition: ActionDefinition
        package let schema: JSONSchema
    }

    package static let folders = [
        "actions", "agents", "egress", "operations", "roles", "sandbox", "schedules", "screens", "tests",
    ]
    /// Folders that need not be there.
    package static let optionalFolders: Set<String> = ["egress", "operations", "schedules", "screens", "tests"]

    /// Reads and cross-checks all files; throws `PolicyError` for the first that is wrong, and then nothing
    /// of the bundle is used.
    package init(files: [PolicyFile]) throws(PolicyError) {
        for file in files { try self.take(file) }
        self.egressRules = try EgressFile.rules(of: self.profiles.values, in: self.egress)
        try self.checkReferences()
    }

    private mutating func take(_ file: PolicyFile) throws(PolicyError) {
        let document: JSONDocument
        do throws(DomainError) {
            document = try JSONParser.document(file.bytes)
        } catch {
            throw .invalid(file.path, "it is not JSON", underlying: error)
        }
        var reader = try DefinitionReader(document.value, file: file.path)
        let name = try self.take(document, from: &reader, folder: file.folder)
        try reader.finish()
        guard name == file.name.dropLast(".json".count) else {
            throw .invalid(file.path, "its name is '\(name)': expected a file named \(name).json")
        }
    }

    /// Takes what a file defines, and returns the file's name by its own words.
    private mutating func take(
        _ document: JSONDocument, from reader: inout DefinitionReader, folder: String
    ) throws(PolicyError) -> String {
        switch folder {
        case "actions":
            let action = try Self.action(&reader)
            self.actions[action.definition.name] = action
            return action.definition.name.name
        case "agents":
            let agent = try Self.agent(&reader)
            self.agents[agent.name] = agent
            return agent.name.name
        case "sandbox":
            let profile = try Self.profile(&reader)
            self.profiles[profile.name] = profile
            return profile.name.name
        case "schedules":
            let schedule = try Self.schedule(&reader, source: document.bytes(of: "params"))
            self.schedules[schedule.name] = schedule
            return schedule.name.name
        case "egress":
            let list = try EgressFile(&reader)
            self.egress[list.name] = list
            return list.name.name
        case "roles", "operations", "tests", "screens":
            let name = try reader.name()
            _ = try reader.optionalString("summary")
            try self.takeList(name, from: &reader, folder: folder)
            return name.name
        default: throw reader.fail("expected one of the folders \(Self.folders.joined(separator: ", "))")
        }
    }

    private mutating func takeList(
        _ name: DefinitionName, from reader: inout DefinitionReader, folder: String
    ) throws(PolicyError) {
        switch folder {
        case "roles": self.roles[name] = Set(try reader.scopes("scopes"))
        case "operations":
            for (operation, scope) in try reader.operations("operations") {
                guard self.operations.updateValue(scope, forKey: operation) == nil else {
                    throw reader.fail("'\(operation.rawValue)' has a scope by another file already")
                }
            }
        case "tests": self.tests += try PolicyTest.list(&reader)
        default: self.screenTests += try ScreenTest.list(&reader)
        }
    }

    private func checkReferences() throws(PolicyError) {
        for test in self.screenTests where self.agents[test.agent] == nil {
            throw .inconsistent(test.file, "there is no agent '\(test.agent)'")
        }
        for action in self.actions.values {
            let file = "actions/\(action.definition.name).json"
            guard self.profiles[action.definition.sandbox] != nil else {
                throw .inconsistent(file, "there is no sandbox profile '\(action.definition.sandbox)'")
            }
            let needed: [String] =
                switch action.definition.handler {
                case .agent(let definition, let prompt): [definition, prompt]
                case .command(_, .param(let name)): [name]
                case .command(_, .params), .none: []
                }
            for name in needed where !action.schema.hasRequiredString(name) {
                throw .invalid(file, "its handler uses the param '\(name)': expected a required string in its schema")
            }
        }
        for schedule in self.schedules.values {
            let file = "schedules/\(schedule.name).json"
            guard let action = self.actions[schedule.action] else {
                throw .inconsistent(file, "there is no action '\(schedule.action)'")
            }
            if let problem = action.schema.problem(with: schedule.params) { throw .invalid(file, problem) }
        }
        for agent in self.agents.values where self.profiles[agent.sandbox] == nil {
            throw .inconsistent("agents/\(agent.name).json", "there is no sandbox profile '\(agent.sandbox)'")
        }
    }

    private static func action(_ reader: inout DefinitionReader) throws(PolicyError) -> Action {
        let text = try reader.string("name")
        let params = try reader.object("params")
        let sandboxText = try reader.optionalString("sandbox") ?? "default"
        let name: ActionName
        let schema: JSONSchema
        let sandbox: DefinitionName
        do throws(DomainError) {
            name = try ActionName(text)
            schema = try JSONSchema(params)
            sandbox = try DefinitionName(sandboxText)
        } catch {
            throw reader.fail(error.message)
        }
        guard let effect = ActionDefinition.Effect(rawValue: try reader.string("effect")) else {
            throw reader.fail("'effect' must be one of read, write, external")
        }
        let maxAttempts = try reader.integer("max_attempts", in: 1...25, default: 1)
        let isRepeatable = try reader.optionalBool("repeatable")
        guard isRepeatable != false || maxAttempts == 1 else {
            throw reader.fail("'max_attempts' above 1 repeats the effect, which 'repeatable': false forbids")
        }
        return Action(
            definition: ActionDefinition(
                name: name, summary: try reader.string("summary"), params: params, handler: try self.handler(&reader),
                effect: effect,
                timeout: .seconds(try reader.integer("timeout_seconds", in: 1...86_400, default: 60)),
                maxAttempts: maxAttempts, sandbox: sandbox, secrets: try self.secrets(&reader),
                permanentStatuses: try self.permanentStatuses(&reader), isRepeatable: isRepeatable),
            schema: schema)
    }

    private static func permanentStatuses(_ reader: inout DefinitionReader) throws(PolicyError) -> Set<Int> {
        var statuses: Set<Int> = []
        for value in try reader.list("permanent_statuses", default: []) {
            guard let number = value.integer, (1...128).contains(number) else {
                throw reader.fail("'permanent_statuses' must be a list of integers from 1 to 128")
            }
            statuses.insert(Int(number))
        }
        return statuses
    }

    private static func handler(_ reader: inout DefinitionReader) throws(PolicyError) -> ActionDefinition.Handler {
        var handler = try DefinitionReader(try reader.object("handler"), file: "\(reader.file), handler")
        let kind = try handler.string("kind")
        let result: ActionDefinition.Handler
        switch kind {
        case "command":
            let argv = try handler.strings("argv")
            guard argv.first?.hasPrefix("/") == true else {
                throw handler.fail("'argv' must begin with an absolute path inside the sandbox")
            }
            let input = try handler.optionalString("input_param")
            result = .command(argv: argv, input: input.map { .param($0) } ?? .params)
        case "agent":
            result = .agent(
                definitionParam: try handler.string("agent_param"), promptParam: try handler.string("prompt_param"))
        case "none": result = .none
        default: throw handler.fail("'kind' must be one of command, agent, none")
        }
        try handler.finish()
        return result
    }

    private static func agent(_ reader: inout DefinitionReader) throws(PolicyError) -> AgentDefinition {
        let name = try reader.name()
        let argv = try reader.strings("argv")
        guard argv.first?.hasPrefix("/") == true else {
            throw reader.fail("'argv' must begin with an absolute path inside the sandbox")
        }
        let prompt = try reader.optionalString("prompt") ?? "typed"
        guard let delivery = AgentDefinition.PromptDelivery(rawValue: prompt) else {
            throw reader.fail("'prompt' must be one of typed, argument")
        }
        let places = argv.count { $0 == AgentDefinition.promptArgument }
        guard delivery == .argument ? places == 1 && argv.first != AgentDefinition.promptArgument : places == 0 else {
            throw reader.fail(
                "'argv' must have '{prompt}' as one whole argument exactly when 'prompt' is argument")
        }
        let sandboxText = try reader.optionalString("sandbox") ?? "default"
        let sandbox: DefinitionName
        do throws(DomainError) { sandbox = try DefinitionName(sandboxText) } catch { throw reader.fail(error.message) }
        return AgentDefinition(
            name: name, summary: try reader.string("summary"), argv: argv, environment: try reader.texts("environment"),
            sandbox: sandbox, secrets: try self.secrets(&reader), closing: try reader.strings("closing", default: []),
            restartIntensity: try reader.integer("restart_intensity", in: 0...100, default: 3),
            restartPeriod: .seconds(try reader.integer("restart_period_seconds", in: 1...86_400, default: 60)),
            screen: try self.screenRules(&reader),
            logQuota: try reader.integer("log_quota_mib", in: 1...65_536, default: 256) * 1024 * 1024,
            keepsNewestLog: try self.keepsNewestLog(&reader), directory: try self.directory(&reader),
            promptDelivery: delivery, probe: try reader.strings("probe", default: []),
            verification: try reader.verification("verified"))
    }

    private static func directory(_ reader: inout DefinitionReader) throws(PolicyError) -> AgentDefinition.Directory {
        let repository = try reader.optionalString("repository")
        switch try reader.optionalString("directory") ?? "shared" {
        case "shared" where repository == nil: return .shared
        case "own" where repository == nil: return .own
        case "worktree":
            let path = repository ?? "."
            guard !path.isEmpty, !path.hasPrefix("/"), !path.split(separator: "/").contains(".."),
                !path.hasPrefix("-")
            else { throw reader.fail("'repository' must be a path below the workspace") }
            return .worktree(repository: path)
        case "shared", "own": throw reader.fail("'repository' goes with \"directory\": \"worktree\" only")
        default: throw reader.fail("'directory' must be one of shared, own, worktree")
        }
    }

    private static func keepsNewestLog(_ reader: inout DefinitionReader) throws(PolicyError) -> Bool {
        switch try reader.optionalString("log_overflow") ?? "end" {
        case "end": false
        case "oldest": true
        default:
            throw reader.fail("'log_overflow' must be end (the program is ended) or oldest (its oldest output goes)")
        }
    }

    private static func screenRules(_ reader: inout DefinitionReader) throws(PolicyError) -> [ScreenRule] {
        var rules: [ScreenRule] = []
        for (index, value) in try reader.list("screen", default: []).enumerated() {
            var item = try DefinitionReader(value, file: "\(reader.file), screen rule \(index + 1)")
            guard let state = ScreenRule.State(rawValue: try item.string("state")) else {
                throw item.fail("'state' must be one of ready, busy, waiting, throttled")
            }
            let rule = ScreenRule(
                state: state, contains: try item.strings("contains", default: []),
                lacks: try item.strings("lacks", default: []),
                cursorLineEnds: try item.optionalString("cursor_line_ends"),
                titleContains: try item.optionalString("title_contains"),
                marksPastes: try item.optionalBool("marks_pastes"),
                lines: try item.integer("lines", in: 1...200, default: 12))
            guard !rule.contains.isEmpty || rule.cursorLineEnds != nil || rule.titleContains != nil else {
                throw item.fail("expected 'contains', 'cursor_line_ends' or 'title_contains': it would always hold")
            }
            rules.append(rule)
            try item.finish()
        }
        return rules
    }

    private static func secrets(_ reader: inout DefinitionReader) throws(PolicyError) -> [DefinitionName] {
        var names: [DefinitionName] = []
        for text in try reader.strings("secrets", default: []) {
            do throws(DomainError) { names.append(try DefinitionName(text)) } catch { throw reader.fail(error.message) }
        }
        return names
    }

    private static func schedule(
        _ reader: inout DefinitionReader, source: [UInt8]?
    ) throws(PolicyError) -> ScheduleDefinition {
        let priorities: [String: Priority] = ["high": .high, "normal": .normal, "low": .low]
        guard let priority = priorities[try reader.optionalString("priority") ?? "normal"] else {
            throw reader.fail("'priority' must be one of high, normal, low")
        }
        guard let missed = ScheduleDefinition.MissedTicks(rawValue: try reader.string("missed")) else {
            throw reader.fail(
                "'missed' must be one of skip, latest, all: what becomes of ticks that no node was there for")
        }
        let name = try reader.name()
        let (workspace, action, cron) = (
            try reader.string("workspace"), try reader.string("action"), try reader.string("cron")
        )
        let (summary, params) = (try reader.string("summary"), try reader.object("params"))
        do throws(DomainError) {
            return ScheduleDefinition(
                name: name, summary: summary, workspace: try WorkspaceID(workspace), action: try ActionName(action),
                params: params, source: source, cron: try CronExpression(cron), missed: missed, priority: priority)
        } catch {
            throw reader.fail(error.message)
        }
    }

    private static func profile(_ reader: inout DefinitionReader) throws(PolicyError) -> SandboxProfile {
        let mebibyte = 1024 * 1024
        let profile = SandboxProfile(
            name: try reader.name(), summary: try reader.string("summary"),
            lowestTier: SandboxTier(rawValue: try reader.integer("lowest_tier", in: 1...4, default: 2)) ?? .namespaces,
            processLimit: try reader.integer("processes", in: 2...65_536, default: 256),
            openFileLimit: try reader.integer("open_files", in: 16...65_536, default: 1024),
            fileSizeLimit: try reader.integer("file_size_mib", in: 1...65_536, default: 1024) * mebibyte,
            memoryLimit: try reader.integer("process_memory_mib", in: 16...1_048_576, default: 4096) * mebibyte,
            treeMemoryLimit: try reader.integer("tree_memory_mib", in: 16...1_048_576, default: 4096) * mebibyte,
            processorPercent: try reader.optionalInteger("cpu_percent", in: 1...102_400),
            temporarySize: try reader.integer("tmp_mib", in: 1...65_536, default: 256) * mebibyte,
            homeSize: try reader.integer("home_mib", in: 1...65_536, default: 64) * mebibyte,
            environment: try reader.texts("environment"),
            readOnlyPaths: try reader.strings("read_only_paths", default: []),
            allowsUnixSockets: try reader.boolean("unix_sockets", default: true),
            usesTools: try reader.boolean("tools", default: false),
            egress: try EgressFile.names(&reader))
        for path in profile.readOnlyPaths where !path.hasPrefix("/") || path == "/" || path.contains("..") {
            throw reader.fail("'read_only_paths' must be absolute paths below the root, not '\(Printable.text(path))'")
        }
        return profile
    }
}
