import Agents
import Credentials
import Domain
import Foundation
import NIOPosix
import Policy
import Redis
import Sandboxing
import Subprocess
import SystemPackage

/// The checks of `orchestra doctor`.
enum Doctor {
    /// The programs that a node starts.
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

    /// The policies, the allow-list, the master key and the state directory.
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
        do {
            if let warning = Preflight.allowListWarning(try context.policy().allowed.isEmpty) {
                findings.append(Finding(level: .warn, name: "allow-list", detail: warning))
            }
            for exposure in try context.exposures() {
                findings.append(Finding(level: .warn, name: exposure.key, detail: exposure.warning))
            }
        } catch {
            // The check of what failed says why.
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

    /// Redis: its version and its settings.
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

    /// Runs the real launcher at each tier; the guard inside checks every layer.
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
                    Finding(level: .fail, name: "sandbox", detail: "tier 0: no program can be run on this host")
                ]
            }
            findings.append(Finding(level: .ok, name: "sandbox", detail: "tier \(best.tier.rawValue) is used"))
            findings += best.layers.map { layer in
                Finding(level: layer.holds ? .ok : .fail, name: "sandbox: \(layer.name)", detail: layer.detail)
            }
            findings += try Self.danglingLinks(configuration.plan.host)
            let bundle = try context.policy().bundle
            findings += Self.agentPrograms(context, bundle)
            findings += bundle.profiles.values.filter { $0.lowestTier > best.tier }
                .sorted { $0.name.name < $1.name.name }.map { profile in
                    Finding(
                        level: .fail, name: "sandbox profile",
                        detail:
                            "'\(profile.name)' requires tier \(profile.lowestTier.rawValue): none of its programs are run here"
                    )
                }
            return findings
        } catch {
            return [Finding(level: .fail, name: "sandbox", detail: CommandError(error).message)]
        }
    }

    /// Links of `/usr` whose targets programs inside do not find.
    private static func danglingLinks(_ host: SandboxHost) throws -> [Finding] {
        let links = try host.danglingLinks()
        guard !links.isEmpty else {
            return [
                Finding(level: .ok, name: "sandbox: links", detail: "all of /usr lead to what programs find inside")
            ]
        }
        let shown = links.prefix(5).map { "\($0.link) -> \($0.target)" }.joined(separator: ", ")
        return [
            Finding(
                level: .warn, name: "sandbox: links",
                detail:
                    "\(links.count)\(links.count == 100 ? " or more" : "") of /usr lead to files that programs do not find inside: \(shown)\(links.count > 5 ? ", …" : ""); add what they need to read_only_paths of a profile"
            )
        ]
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

    /// The cost of checking an API key.
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
