import Agents
import ArgumentParser
import Credentials
import Domain
import Foundation
import Jobs
import NIOPosix
import Policy
import Redis
import Sandboxing
import ShimProtocol
import Subprocess
import SystemPackage

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Checks what a node needs on this machine, by trying it.",
        discussion: """
            Each line is ok, warn or fail with what to do. The sandbox is not read about but run: a program inside
            looks for every layer. Status 69 when something fails.

            EXAMPLES
              orchestra doctor
              orchestra doctor --json
              orchestra doctor --capacity 100 --result-size 2000
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp(
            "Checks nothing, but says how much memory Redis needs for so many jobs a second.", valueName: "jobs/s"))
    var capacity: Int?
    @Option(help: ArgumentHelp("With --capacity: bytes of a job's result.", valueName: "bytes")) var resultSize = 200

    func run() async throws {
        try await reporting {
            if let rate = self.capacity { return try self.showCapacity(rate) }
            try Host.refuseRoot()
            let context = try self.common.context()
            var findings = await Doctor.programs()
            findings += Doctor.configuration(context)
            findings += await Doctor.redis(context)
            findings += await Doctor.sandbox(context)
            findings += Doctor.hashing()
            for finding in findings { show(self.output.json ? finding.json.text : finding.line) }
            if findings.contains(where: { $0.level == .fail }) {
                throw ExitCode(CommandError.Status.unavailable.rawValue)
            }
        }
    }
}

extension DoctorCommand {
    private func showCapacity(_ rate: Int) throws {
        guard (1...1_000_000).contains(rate), (0...65_536).contains(self.resultSize) else {
            throw CommandError(.usage, "expected --capacity from 1 to 1000000 and --result-size from 0 to 65536")
        }
        let limits = try self.common.context().limits()
        let plan = CapacityPlan(rate: rate, resultSize: self.resultSize, limits: limits)
        if self.output.json {
            var members = plan.items.map { JSONMember($0.name, .integer(Int64($0.bytes))) }
            members.append(JSONMember("total", .integer(Int64(plan.total))))
            members.append(JSONMember("recommended_maxmemory", .integer(Int64(plan.recommended))))
            members.append(JSONMember("audit_per_day", .integer(Int64(plan.auditPerDay))))
            return show(JSONValue.object(members).text)
        }
        func line(_ name: String, _ bytes: Int) -> String {
            String(
                format: "%@ %10.1f MiB", name.padding(toLength: 24, withPad: " ", startingAt: 0),
                Double(bytes) / 1_048_576)
        }
        for item in plan.items { show(line(item.name, item.bytes)) }
        show(line("in all", plan.total))
        show(line("maxmemory of Redis", plan.recommended) + "   with half again for its own copies")
        show(line("audit trail a day", plan.auditPerDay) + "   more, until it is archived")
    }
}

/// One line of the doctor's report.
struct Finding: Sendable {
    enum Level: String, Sendable {
        case ok
        case warn
        case fail
    }

    let level: Level
    let name: String
    let detail: String

    var line: String {
        "\(self.level.rawValue.padding(toLength: 5, withPad: " ", startingAt: 0)) \(self.name.padding(toLength: 26, withPad: " ", startingAt: 0)) \(self.detail)"
    }

    var json: JSONValue {
        ["check": .string(self.name), "level": .string(self.level.rawValue), "detail": .string(self.detail)]
    }
}

enum Doctor {
    static func programs() async -> [Finding] {
        var findings = [Finding(level: .ok, name: "orchestra", detail: Version.text)]
        let wanted = [
            ("bwrap", "bubblewrap", "--version"), ("tmux", "tmux", "-V"), ("redis-server", "redis-server", "--version"),
        ]
        for (name, package, flag) in wanted {
            do {
                let path = try Host.program(name, package: package)
                let result = try await Subprocess.run(
                    .path(FilePath(path)), arguments: [flag], environment: .custom(["PATH": "/usr/bin:/bin"]),
                    output: .string(limit: 4096), error: .discarded)
                let version = result.standardOutput.split(separator: "\n").first.map(String.init) ?? ""
                findings.append(Finding(level: .ok, name: name, detail: "\(Printable.text(version)) (\(path))"))
            } catch {
                // Redis may run elsewhere; only `dev` starts one itself.
                findings.append(
                    Finding(
                        level: name == "redis-server" ? .warn : .fail, name: name, detail: CommandError(error).message))
            }
        }
        return findings
    }

    static func configuration(_ context: Context) -> [Finding] {
        var findings: [Finding] = []
        func check(_ name: String, _ body: () throws -> String) {
            do {
                findings.append(Finding(level: .ok, name: name, detail: try body()))
            } catch {
                findings.append(Finding(level: .fail, name: name, detail: CommandError(error).message))
            }
        }
        check("policies") {
            let policy = try context.policy()
            return
                "\(policy.bundle.actions.count) actions, \(policy.bundle.agents.count) agents (\(try context.policiesDirectory()))"
        }
        if let policy = try? context.policy(), let warning = Preflight.allowListWarning(policy.allowed.isEmpty) {
            findings.append(Finding(level: .warn, name: "allow-list", detail: warning))
        }
        check("master-key") {
            _ = try context.masterKey()
            return "set"
        }
        check("state-directory") {
            _ = try context.agents()
            return context.stateDirectory
        }
        return findings
    }

    static func redis(_ context: Context) async -> [Finding] {
        do {
            let redis = try context.redis()
            let connection = try await RedisConnection.connect(to: redis, group: .singleton)
            let facts = try await RedisServerFacts(of: connection, usesTLS: redis.tls != nil)
            await connection.close()
            return [
                Finding(
                    level: .ok, name: "redis",
                    detail: "\(facts.version) at \(redis.displayName)\(facts.usesTLS ? ", TLS" : "")")
            ] + facts.problems.map { Finding(level: .fail, name: "redis-settings", detail: $0) }
                + facts.warnings.map { Finding(level: .warn, name: "redis-settings", detail: $0) }
        } catch {
            return [Finding(level: .fail, name: "redis", detail: CommandError(error).message)]
        }
    }

    /// Runs the real launcher at each tier; the guard inside looks at every layer.
    static func sandbox(_ context: Context) async -> [Finding] {
        do {
            let configuration = try context.agents()
            let measure = try await context.measure(configuration, all: true)
            var findings = measure.trials.map { trial in
                Finding(
                    level: trial.problem == nil
                        ? .ok : measure.tier > trial.tier || measure.tier > .none ? .warn : .fail,
                    name: "sandbox tier \(trial.tier.rawValue)",
                    detail: trial.problem.map { "no: \($0). \(Self.fix(trial.tier))" } ?? "yes: \(trial.tier.summary)")
            }
            guard let best = measure.trials.first(where: { $0.tier == measure.tier }) else {
                return findings + [
                    Finding(level: .fail, name: "sandbox", detail: "tier 0: no program is run on this host")
                ]
            }
            findings.append(Finding(level: .ok, name: "sandbox", detail: "tier \(best.tier.rawValue) is used"))
            findings += best.layers.map { layer in
                Finding(level: layer.holds ? .ok : .fail, name: "sandbox: \(layer.name)", detail: layer.detail)
            }
            findings += try context.policy().bundle.profiles.values.filter { $0.lowestTier > best.tier }
                .sorted { $0.name.name < $1.name.name }.map { profile in
                    Finding(
                        level: .fail, name: "sandbox profile",
                        detail:
                            "'\(profile.name)' asks for tier \(profile.lowestTier.rawValue): nothing of it is run here")
                }
            return findings
        } catch {
            return [Finding(level: .fail, name: "sandbox", detail: CommandError(error).message)]
        }
    }

    private static func fix(_ tier: SandboxTier) -> String {
        switch tier {
        case .none: ""
        case .landlock:
            "It needs a kernel with version 6 of Landlock (Linux 6.12, and lsm=landlock among its parameters)"
        case .namespaces:
            "It needs bubblewrap (apt-get install bubblewrap) and user namespaces for everyone (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0)"
        case .ownUser:
            "It needs newuidmap (apt-get install uidmap), users to give away (usermod --add-subuids 200000-265535 --add-subgids 200000-265535 \(NSUserName())), and no NoNewPrivileges= in the unit"
        case .limited:
            "It needs what tier 3 does, and control groups with memory and processes that belong to this user (Delegate=yes in the unit; ops/run gives them when it is started as root)"
        }
    }

    static func hashing() -> [Finding] {
        do {
            let start = ContinuousClock.now
            let hash = try Argon2id.hash(Array("orchestra".utf8))
            let cost = (ContinuousClock.now - start) / .milliseconds(1)
            guard Argon2id.verify(Array("orchestra".utf8), against: hash) else {
                return [Finding(level: .fail, name: "argon2id", detail: "a hash could not be verified")]
            }
            return [
                Finding(
                    level: .ok, name: "argon2id",
                    detail: "19 MiB, t=2: \(Int(cost.rounded())) ms a hash on this machine")
            ]
        } catch {
            return [Finding(level: .fail, name: "argon2id", detail: "\(error)")]
        }
    }
}
