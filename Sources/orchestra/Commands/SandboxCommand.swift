import Agents
import ArgumentParser
import CLinux
import Domain
import Foundation
import Policy
import Sandboxing
import ShimProtocol

struct SandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox", abstract: "Runs programs as agents are run.",
        subcommands: [Exec.self, ServeEgress.self])

    struct Exec: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs a program in a sandbox, with this one's input and output.",
            discussion: """
                The same launcher, filter, namespaces, limits and environment as an agent or a command action of that
                profile has. The workspace is /workspace inside (at tier 1 its own path). Ends with the program's status;
                125 says that a layer did not hold and nothing ran.

                A profile with egress uses the egress server of the node with the same state directory. Without a node one
                is started for this program; without Redis its events go to egress.jsonl in the state directory, and
                credentials are the files of the secrets directory.

                EXAMPLES
                  orchestra sandbox exec --workspace . -- /bin/bash -c 'id; ls /'
                  orchestra sandbox exec --workspace . --tty -- /bin/bash -i
                """)

        @OptionGroup var common: CommonOptions
        @Option(help: "The profile, a file under Policies/sandbox.") var profile = "default"
        @Option(help: "The directory that the program may write.") var workspace: String
        @Flag(help: "Gives the program a terminal, joined to this one.") var tty = false
        @Flag(help: "Gives the program nothing outside, whatever the profile's egress is.") var offline = false
        @Option(help: "The tier, 1 to 4; else the one that the node would use.") var tier: Int?
        @Option(
            help:
                "NAME=ADDRESS or NAME=ADDRESS:PORT: where connections to a name go instead, for tests; may be given several times. Refused in production."
        )
        var egressResolve: [String] = []
        @Option(
            help:
                "A PEM file of the authorities that model providers are checked against, for tests. Refused in production."
        )
        var egressCA: String?
        @Argument(parsing: .postTerminator, help: "The program's absolute path, and its arguments.")
        var command: [String] = []

        func run() async throws {
            try await reporting {
                try Host.refuseRoot()
                guard let program = self.command.first, program.hasPrefix("/") else {
                    throw CommandError(.usage, "expected -- and the absolute path of a program inside the sandbox")
                }
                let context = try self.common.nodeContext()
                guard let named = try context.policy().bundle.profiles[try DefinitionName(self.profile)] else {
                    throw CommandError(.usage, "there is no sandbox profile '\(Printable.text(self.profile))'")
                }
                let profile = self.offline ? named.withoutEgress : named
                let launch = try await self.plan(context, profile).launch(
                    self.command, profile: profile, workspace: try self.directory(),
                    connection: .direct(terminal: self.tty ? (columns: 80, rows: 24) : nil),
                    egress: try await self.egress(context, profile))
                let bytes = launch.encoded
                let file = unsafe orc_memfd_with(bytes, bytes.count)
                guard file >= 0, fcntl(file, F_SETFD, 0) == 0 else {
                    throw CommandError(.gaveUp, "the launch file could not be made: \(Host.reason(-file))")
                }
                let shim = try Host.shim()
                let result = replaceProcess(
                    shim, arguments: ["orchestra-shim", "direct", String(file)],
                    environment: ["SWIFT_BACKTRACE": "enable=no"])
                throw CommandError(.unavailable, "\(shim) could not be started: \(Host.reason(result))")
            }
        }

        /// The way to the egress server of the node with this state directory, or to one that is started for this program.
        /// Throws status 69 when there is none.
        private func egress(_ context: Context, _ profile: SandboxProfile) async throws -> EgressAccess? {
            guard !profile.egress.isEmpty else { return nil }
            var endpoint = try context.egressEndpoint(try context.policy().bundle)
            let isOwn = !self.egressResolve.isEmpty || self.egressCA != nil
            if unsafe isOwn || orc_probe_unix(endpoint.socket) != 0 {
                let server = ProgramEgress(
                    profile: profile.name, resolve: self.egressResolve, authorityFile: self.egressCA)
                endpoint = EgressAccess.Endpoint(
                    socket: try await server.start(context, self.common.arguments), models: endpoint.models)
            }
            let job = JobID(
                milliseconds: Host.wallMilliseconds(), randomHigh: .random(in: 0...(.max)),
                randomLow: .random(in: 0...(.max)))
            let hello = EgressHello(workspace: try context.workspace(), job: job, launch: 1, profile: profile.name)
            return EgressAccess(hello, at: endpoint)
        }

        private func plan(_ context: Context, _ profile: SandboxProfile) async throws -> SandboxPlan {
            _ = try Host.privateDirectory(context.stateDirectory)
            guard let number = self.tier else { return try await context.measuredAgents().0.plan }
            guard let tier = SandboxTier(rawValue: number), tier > .none else {
                throw CommandError(.usage, "expected --tier 1, 2, 3 or 4, not \(number)")
            }
            return try context.agents().plan.at(tier)
        }

        private func directory() throws -> String {
            let url = URL(fileURLWithPath: self.workspace).standardizedFileURL.resolvingSymlinksInPath()
            var isDirectory: ObjCBool = false
            guard unsafe FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory),
                isDirectory.boolValue
            else { throw CommandError(.usage, "there is no directory \(Printable.text(self.workspace))") }
            return url.path
        }
    }
}
