import Credentials
import Domain
import Intake
import Foundation
import Jobs
import Policy
import Redis
import Sandboxing
import Worker

/// What `orchestra dev` prints.
struct DevScreen: Sendable {
    /// Prints a line; never waits.
    let show: @Sendable (String) -> Void

    init(show: @escaping @Sendable (String) -> Void) { self.show = show }

    /// Prints what runs where; returns the API key when it was made now.
    func announce(_ context: Context, probe: Int, api: Int, redis: EmbeddedRedis?) async throws -> String? {
        let address = try context.localAPI(port: api)
        let host = try context.probe().host
        let settings = context.settings
        let place = try redis.map { "private, \($0.url)" } ?? context.redis().displayName
        let (key, keyText) = address == nil ? (nil, "none") : await self.key(context)
        self.show(
            """
            orchestra \(Version.text) is up
              redis      \(place)
              api        \(address?.url ?? "off")
              key        \(keyText)
              health     http://\(host):\(probe)/readyz?verbose
              metrics    http://\(host):\(probe)/metrics
              log        \(context.stateDirectory)/orchestra.log
              state      \(context.stateDirectory)
              policies   \(try context.policiesDirectory())
              allowed    \(settings.text("allow-actions-default") ?? "nothing")
              sandbox    \(Self.sandboxText(settings))
            """)
        return key
    }

    /// Prints commands to try.
    func announceNext(_ context: Context, api: Int, key: String?) throws {
        let command = CommandLine.arguments.first ?? "orchestra"
        let curl = try context.localAPI(port: api).map { $0.curl(path: "/ai/jobs", key: key ?? "$KEY") }
        self.show(
            """

            try next, in another terminal:
              \(command) submit shell.run --param command='uname -a; id; ls /' --wait
              \(command) submit agent.run --param agent=shell --param prompt='echo $((6*7)); sleep 60' --follow
              \(command) jobs list\(curl.map { "\n  " + $0 } ?? "")
            ^C stops everything.
            """)
    }

    /// Submits a job and prints its states and its terminal.
    func demonstrate(_ context: Context) async {
        let prompt = "echo \"hello from a sandboxed agent\"; id -un; uname -r; ls -A / | tr '\\n' ' '; echo"
        self.show("\ndemonstration: the agent 'shell' gets a prompt in a terminal of its own\n  prompt: \(prompt)")
        do {
            let draft = RequestDraft(
                action: "agent.run",
                params: JSONValue.object([JSONMember("agent", "shell"), JSONMember("prompt", .string(prompt))]).bytes,
                requestID: UUID().uuidString)
            let workspace = try context.workspace()
            try await QueueSession.with(context) { session in
                let (id, _, _) = try await session.submit(draft, actor: "dev:\(NSUserName())", context).accepted()
                show("  job \(id)")
                let watcher = JobWatcher(
                    session: session, workspace: workspace, agents: context.stateDirectory + "/agents",
                    json: false, print: show)
                _ = try await watcher.watch(id)
            }
        } catch {
            self.show("the demonstration failed: \(CommandError(error).message)")
        }
    }

    /// A key for this machine's user, and what to print of it. The key of an earlier start is stored only as a hash, so it
    /// cannot be printed again.
    private func key(_ context: Context) async -> (key: String?, text: String) {
        do {
            let workspace = try context.workspace()
            let key: APIKey? = try await QueueSession.with(context) { session in
                let now = try await session.queue.time()
                let known = try await session.credentials().records(of: workspace)
                guard !known.contains(where: { $0.isGood(at: now) }) else { return nil }
                return try await APIKeyAdmin(session).create(
                    in: workspace, roles: [try DefinitionName("admin")], label: "orchestra dev", lifetime: nil
                ).0
            }
            guard let text = key?.text else {
                return (nil, "made at an earlier start; make another with: orchestra keys create --role developer")
            }
            return (text, "\(text)  (shown this once)")
        } catch {
            return (nil, "none: \(CommandError(error).message)")
        }
    }

    private static func sandboxText(_ settings: Settings) -> String {
        settings.text("sandbox.selftest") == "never"
            ? "not tested: sandbox.selftest is never"
            : "\(EscapeAttempt.all.count) escape attempts must fail before programs run; a result is remembered for this boot"
    }
}
