import Agents
import Cryptography
import Domain
import Egress
import Foundation
import Logging
import Policy
import Sandboxing
import ScriptedModel
import ShimProtocol
import TransportSecurity

/// The surroundings of a check: a state directory, a git work tree, a key and a scripted model of its own, and an egress
/// server that takes the model for the providers. Nothing of it is left afterwards, and no Redis is used.
struct AgentCheckBench {
    let common: CommonOptions
    let bundle: PolicyBundle
    let definition: AgentDefinition
    let profile: SandboxProfile

    /// Longer than any launch of a check.
    private static let pause = Duration.seconds(300)
    /// How long an agent outlives a check that was killed.
    private static let orphanGrace = Duration.seconds(5)

    /// Makes the surroundings, checks, and removes them. Throws `CommandError` when they cannot be made.
    func report() async throws -> AgentCheckReport {
        let state = try Host.privateDirectory(try self.common.nodeContext().stateDirectory)
        try Host.lock(state + "/agents-check.lock", what: "'orchestra agents check'")
        let root = try Host.privateDirectory(state + "/agents-check")
        var common = self.common
        // The model stands in for the providers here and nowhere else, so production does not refuse that.
        common.set += [
            "state-directory=\(root)", "secrets-directory=\(root)/secrets", "environment=development",
            "egress.overrides=",
        ]
        let context = try common.nodeContext()
        var measured = try await context.measuredAgents().0
        measured.orphanGrace = Self.orphanGrace
        let configuration = measured
        let work = try Host.privateDirectory(root + "/work")
        // What a check left that was killed.
        let profile = self.profile.withoutEgress
        try await Self.empty(work, profile, configuration)
        let result: Result<AgentCheckReport, any Error>
        do {
            result = .success(try await self.report(root, work, common, context, configuration))
        } catch {
            result = .failure(error)
        }
        do {
            try await withoutCancellation { () async throws -> Void in
                try await Self.empty(work, profile, configuration)
                try FileManager.default.removeItem(atPath: root)
            }
        } catch { note("\(root) could not be removed: \(error)") }
        return try result.get()
    }

    /// Only the sandbox's own user may remove all that was made there.
    private static func empty(
        _ work: String, _ profile: SandboxProfile, _ configuration: AgentConfiguration
    ) async throws {
        try await self.run(["/usr/bin/find", ".", "-mindepth", "1", "-delete"], work, profile, configuration)
    }

    /// Runs a program in the work tree. Throws `CommandError` when it fails.
    private static func run(
        _ argv: [String], _ work: String, _ profile: SandboxProfile, _ configuration: AgentConfiguration
    ) async throws {
        let record = try await CommandRunner(configuration: configuration, processID: getpid()).run(
            argv, input: [], profile: profile, workspacePath: work)
        guard !record.isSuccess else { return }
        let words = Printable.text(String(decoding: record.errorOutput, as: UTF8.self), limit: 300)
        throw CommandError(.gaveUp, "the work tree of the check could not be prepared: \(record.summary): \(words)")
    }

    private func report(
        _ root: String, _ work: String, _ common: CommonOptions, _ context: Context, _ plain: AgentConfiguration
    ) async throws -> AgentCheckReport {
        // Agents want a repository; a host without git has its checks all the same.
        if Host.exists("/usr/bin/git") {
            try await Self.run(["/usr/bin/git", "init", "--quiet"], work, self.profile.withoutEgress, plain)
        }
        let key = "sk-check-" + Hexadecimal.text(of: try Digests.randomBytes(count: 24))
        let workspace = try WorkspaceID("check")
        let secrets = try Host.privateDirectory("\(root)/secrets/\(workspace)")
        for name in self.definition.secrets { try Host.writePrivate("\(secrets)/\(name)", key) }
        let models = self.models
        for model in models {
            if let credential = model.credential { try Host.writePrivate("\(secrets)/\(credential)", key) }
        }
        let certificates = try TemporaryAuthority(directory: try Host.privateDirectory(root + "/tls"))
        let tls = try TLSServerContext(
            configuration: certificates.issue("model", for: ["DNS:localhost"] + models.map { "DNS:\($0.host)" }))
        let model = ScriptedModel(key: key, pause: Self.pause)
        let (definition, profile, bundle) = (self.shared, self.profile, self.bundle)
        let (authority, logger) = (certificates.certificateFile, try context.logger { _ in })
        return try await model.serve(tls) { port in
            var configuration = plain
            if !profile.egress.isEmpty {
                let server = ProgramEgress(
                    profile: profile.name, resolve: models.map { "\($0.host)=127.0.0.1:\(port)" },
                    authorityFile: authority, usesRedis: false)
                configuration.egress = EgressAccess.Endpoint(
                    socket: try await server.start(context, common.arguments),
                    models: try context.egressEndpoint(bundle).models)
            }
            return try await AgentCheck(
                definition: definition, profile: profile, configuration: configuration, workspace: workspace,
                workspacePath: work, model: model, key: key, hasModel: !models.isEmpty,
                trail: profile.egress.isEmpty ? nil : root + "/egress.jsonl", logger: logger
            ).report()
        }
    }

    /// The hosts of the providers whose models the profile reaches, with the names of their credentials.
    private var models: [(host: String, credential: DefinitionName?)] {
        guard let rules = self.bundle.egressRules[self.profile.name] else { return [] }
        return rules.modelServices.compactMap { service in
            rules.model(service).map { ("\($0.entry.host)", $0.entry.credential) }
        }
    }

    private var shared: AgentDefinition {
        var definition = self.definition
        definition.directory = .shared
        return definition
    }
}
