internal import Domain
internal import Logging
internal import ShimProtocol
internal import Sandboxing

/// An agent's own directory in its workspace, or a work tree of a git repository there: made before its launch and cleaned
/// up after its end.
///
/// All of it happens inside a sandbox of the agent's profile: what lies in a workspace may be a trap for any program that
/// touches it, git included. Nothing that holds unsaved or unknown work is ever deleted, and what a work tree holds is
/// kept as a commit under `refs/orchestra/agents/ID` before anything else.
struct WorkingDirectory: Sendable {
    let definition: AgentDefinition.Directory
    let agent: JobID
    let commands: CommandRunner
    let logger: Logger

    /// The path below the workspace; nil where the agent shares the workspace's own directory.
    static func path(_ definition: AgentDefinition.Directory, of agent: JobID) -> String? {
        definition == .shared ? nil : "agents/\(agent)"
    }

    /// Makes it, or leaves what is there from an earlier launch. Throws `AgentError.launchFailed` with git's own words.
    func prepare(profile: SandboxProfile, workspacePath: String) async throws {
        guard self.definition != .shared else { return }
        let record = try await self.run(Self.preparation, profile, workspacePath)
        guard record.isSuccess else {
            let words = Printable.text(String(decoding: record.errorOutput, as: UTF8.self), limit: 300)
            throw AgentError(
                code: .launchFailed, message: "the agent's working directory could not be made: \(words)")
        }
    }

    /// Takes away what holds nothing more to keep; what became of it, in words, nil where there is none.
    func cleanUp(profile: SandboxProfile, workspacePath: String) async -> String? {
        guard self.definition != .shared else { return nil }
        do {
            let record = try await self.run(Self.cleaning, profile, workspacePath)
            let line = record.output.prefix { $0 != UInt8(ascii: "\n") }
            let words = Printable.text(String(decoding: line, as: UTF8.self), limit: 300)
            return record.isSuccess && !words.isEmpty ? words : "kept: the clean-up failed (\(record.summary))"
        } catch {
            self.logger.warning(
                "an agent's working directory is left as it is", error: error, metadata: ["agent.id": "\(self.agent)"])
            return "kept: the clean-up failed"
        }
    }

    private func run(_ script: String, _ profile: SandboxProfile, _ workspacePath: String) async throws -> ExitRecord {
        var environment = ["ORC_AGENT": self.agent.description, "ORC_KIND": "own", "ORC_REPOSITORY": "."]
        if case .worktree(let repository) = self.definition {
            environment["ORC_KIND"] = "worktree"
            environment["ORC_REPOSITORY"] = repository
        }
        let (commands, variables) = (self.commands, environment)
        // git does what files of the workspace say, and those may make it run indefinitely.
        return try await withThrowingTaskGroup(of: ExitRecord?.self) { group in
            group.addTask {
                try await commands.run(
                    ["/bin/sh", "-c", script], input: [], environment: variables, profile: profile.withoutEgress,
                    workspacePath: workspacePath)
            }
            group.addTask {
                try await ContinuousClock().sleep(for: Self.limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let record = first else {
                throw AgentError(code: .launchFailed, message: "it took longer than \(Self.limit)")
            }
            return record
        }
    }

    /// The time that git has to make or to look through a work tree.
    private static let limit = Duration.seconds(30)

    /// git as it must be called where everything may be a trap: no hooks, no helpers, a name of ours.
    private static let git = """
        g() {
            git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c user.name=orchestra \\
                -c user.email=orchestra@localhost -c commit.gpgSign=false -c gc.auto=0 "$@"
        }

        """

    private static let preparation =
        git + """
            set -eu
            root=$PWD directory=agents/$ORC_AGENT
            mkdir -p agents
            [ "$ORC_KIND" = worktree ] || exec mkdir -p "$directory"
            [ ! -e "$directory/.git" ] || exit 0
            cd "$ORC_REPOSITORY"
            # One that its agent took away is forgotten, and what an earlier launch saved is gone on with.
            g worktree prune
            saved=refs/orchestra/agents/$ORC_AGENT
            if g rev-parse --verify --quiet "$saved" >/dev/null
            then g worktree add --quiet --detach "$root/$directory" "$saved"
            else g worktree add --quiet --detach "$root/$directory"; fi
            """

    private static let cleaning =
        git + """
            set -u
            root=$PWD directory=agents/$ORC_AGENT
            if [ "$ORC_KIND" != worktree ]; then
                if rmdir "$directory" 2>/dev/null; then echo 'removed: it was empty'
                elif [ -d "$directory" ]; then echo 'kept: it holds files'
                else echo 'gone'; fi
                exit 0
            fi
            [ -e "$directory/.git" ] || { echo 'gone'; exit 0; }
            cd "$directory" || { echo 'kept: it cannot be entered'; exit 0; }
            keep() { echo "kept: $1"; exit 0; }
            head=$(g rev-parse --verify --quiet HEAD) || keep 'it has no commit'
            state=$(g status --porcelain --ignored --untracked-files=all) || keep 'git cannot determine its state'
            snapshot=$head
            if [ -n "$state" ]; then
                GIT_INDEX_FILE=$(mktemp -u) || keep 'no snapshot could be made'
                export GIT_INDEX_FILE
                g read-tree HEAD && g add --all && tree=$(g write-tree) \\
                    && snapshot=$(g commit-tree "$tree" -p "$head" -m "What agent $ORC_AGENT left") \\
                    || keep 'no snapshot could be made'
                unset GIT_INDEX_FILE
            fi
            # What was saved before and is not part of this stays reachable too.
            before=$(g rev-parse --verify --quiet "refs/orchestra/agents/$ORC_AGENT")
            if [ -n "$before" ] && ! g merge-base --is-ancestor "$before" "$snapshot"; then
                g update-ref "refs/orchestra/earlier/$ORC_AGENT/$before" "$before" || keep 'no snapshot could be made'
            fi
            g update-ref "refs/orchestra/agents/$ORC_AGENT" "$snapshot" || keep 'no snapshot could be made'
            [ -z "$state" ] || keep "it holds changes; they are saved as refs/orchestra/agents/$ORC_AGENT"
            cd "$root/$ORC_REPOSITORY" && g worktree remove "$root/$directory" || keep 'git would not remove it'
            echo "removed: its commits are saved as refs/orchestra/agents/$ORC_AGENT"
            """
}
