import Agents
import Domain
import Foundation
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

/// Programs as people use them, in sandboxes as the node makes them. What is not installed is skipped.
@Suite(
    "Ordinary programs in a sandbox", .serialized,
    .enabled(if: !isRoot, "sandboxes are tried as an ordinary user"))
struct OrdinaryProgramsTests {
    struct Program: Sendable, CustomTestStringConvertible {
        let name: String
        /// Programs of /usr/bin that it needs.
        let needs: [String]
        let script: String
        /// It uses Unix sockets, which need a user of the sandbox's own.
        var needsUnixSockets = false
        /// It reserves more memory than a limit of each process allows.
        var reservesMemory = false

        var testDescription: String { self.name }
    }

    static let programs: [Program] = [
        Program(
            name: "Python's locks", needs: ["python3"],
            script: "python3 -c 'import multiprocessing as m; m.Lock(); print(m.cpu_count() > 0)'"),
        Program(
            name: "Python's process pool", needs: ["python3"],
            script: """
                cat > p.py <<'END'
                import concurrent.futures as c
                def double(x): return 2 * x
                if __name__ == "__main__":
                    with c.ProcessPoolExecutor(2) as pool: assert list(pool.map(double, [1, 2])) == [2, 4]
                END
                python3 p.py
                """),
        Program(
            name: "Python's manager", needs: ["python3"],
            script: """
                cat > m.py <<'END'
                import multiprocessing as m
                if __name__ == "__main__":
                    with m.Manager() as manager:
                        values = manager.list([1]); values.append(2); assert list(values) == [1, 2]
                END
                python3 m.py
                """, needsUnixSockets: true),
        Program(
            name: "Python's names of services and TLS", needs: ["python3"],
            script:
                "python3 -c 'import socket, ssl; assert socket.getservbyname(\"https\") == 443; ssl.create_default_context()'"
        ),
        Program(
            name: "a certificate by openssl", needs: ["openssl"],
            script: "openssl req -x509 -newkey rsa:2048 -nodes -keyout /tmp/k -out /tmp/c -subj /CN=x"),
        Program(
            name: "a socket by node", needs: ["node"],
            script:
                "node -e 'require(\"net\").createServer().listen(\"/tmp/s\", function () { this.close(); console.log(1) })'",
            needsUnixSockets: true),
        Program(name: "a program of node", needs: ["node"], script: "node -e 'console.log(1 + 1)'"),
        Program(
            name: "a C program with the address sanitizer", needs: ["gcc"],
            script: """
                printf '#include <stdlib.h>\\nint main(void) { char *x = malloc(8); x[7] = 1; free(x); return 0; }' > a.c
                gcc -fsanitize=address -o a a.c && ./a
                """, reservesMemory: true),
        Program(
            name: "a key by ssh-keygen", needs: ["ssh-keygen"],
            script: "ssh-keygen -q -t ed25519 -N '' -f key && ssh-keygen -l -f key.pub"),
        Program(
            name: "ssh-agent", needs: ["ssh-agent"], script: "ssh-agent true", needsUnixSockets: true),
        Program(
            name: "tmux", needs: ["tmux"],
            script: "TERM=xterm tmux new-session -d 'sleep 5' && tmux list-sessions && tmux kill-server",
            needsUnixSockets: true),
        Program(
            name: "vim", needs: ["vim"],
            script: "TERM=xterm vim -u NONE -es -c 'call setline(1, \"x\")' -c 'wq' f && grep x f"),
        Program(name: "less", needs: ["less"], script: "echo text | less -F | grep text"),
        Program(
            name: "a commit of git", needs: ["git"],
            script:
                "git init -q r && cd r && echo 1 > f && git add f && git commit -qm one && git log --format='%an %ae' | grep 'agent agent@localhost'"
        ),
        Program(
            name: "a repository's own author wins", needs: ["git"],
            script: """
                git init -q o && cd o && git config user.name own && git config user.email own@example.com
                echo 1 > f && git add f && git commit -qm one && git log --format='%an %ae' | grep 'own own@example.com'
                """),
        Program(
            name: "a key of gpg, and a text for it", needs: ["gpg"],
            script: """
                export GNUPGHOME=/tmp/g; mkdir -m 700 $GNUPGHOME
                gpg --batch --quiet --passphrase '' --quick-gen-key a@example.com default default never
                echo secret | gpg --batch -ear a@example.com | gpg --batch -qd | grep secret
                """, needsUnixSockets: true),
        Program(
            name: "a Java program", needs: ["java", "javac"],
            script: """
                echo 'class A { public static void main(String[] a) { System.out.println(6 * 7); } }' > A.java
                javac A.java && java -cp . A | grep 42
                """, reservesMemory: true),
        Program(
            name: "a program of cargo", needs: ["cargo"],
            script: "cargo init --quiet --vcs none c && cd c && cargo run --quiet --offline | grep Hello"),
        Program(
            name: "a Redis server", needs: ["redis-server", "redis-cli"],
            script: """
                redis-server --port 7000 --save '' --daemonize yes --dir /tmp >/dev/null
                until redis-cli -p 7000 ping 2>/dev/null | grep -q PONG; do sleep 0.05; done
                redis-cli -p 7000 set a b && redis-cli -p 7000 get a | grep b && redis-cli -p 7000 shutdown
                """),
        Program(
            name: "a PostgreSQL server", needs: ["psql"],
            script: """
                programs=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
                "$programs/initdb" -D "$PWD/pg" -A trust -U agent --locale=C --no-sync >/dev/null
                "$programs/pg_ctl" -D "$PWD/pg" -o '-k /tmp -h 127.0.0.1' -w -l pg.log start >/dev/null || cat pg.log
                psql -h 127.0.0.1 -U agent -tc 'select 41 + 1' postgres | grep 42
                "$programs/pg_ctl" -D "$PWD/pg" -m fast stop
                """, needsUnixSockets: true),
        Program(
            name: "htop", needs: ["htop", "script"],
            script: "TERM=xterm script -qec 'timeout 2 htop' /dev/null >/dev/null; test $? = 124"),
        Program(name: "fzf", needs: ["fzf"], script: "printf 'one\ntwo\n' | fzf -f two | grep two"),
        Program(
            name: "temporary files", needs: [],
            script: "mktemp -p /var/tmp && mktemp && mktemp -p /dev/shm"),
        Program(
            name: "its own outputs by their names", needs: [],
            script: "echo x > /dev/stdout && echo y > /dev/stderr && echo z | tee /dev/stderr"),
        Program(
            name: "the table of mounts", needs: [], script: "grep -q ' /usr ' /proc/self/mountinfo"),
    ]

    @Test(
        "it runs", arguments: programs.filter { $0.needs.allSatisfy(isInstalled) },
        SandboxTests.tiers.filter { $0 >= .namespaces })
    func runs(program: Program, tier: SandboxTier) async throws {
        guard !program.needsUnixSockets || tier >= .ownUser else { return }
        guard !program.reservesMemory || TestSandbox.groups.canLimit else { return }
        let record = try await Self.run(program.script, tier)
        let words = String(decoding: record.output + record.errorOutput, as: UTF8.self)
        #expect(record.isSuccess, "\(record.summary): \(words)")
    }

    @Test(
        "what is not installed here is named",
        arguments: programs.filter { !$0.needs.allSatisfy(isInstalled) })
    func skipped(program: Program) {
        withKnownIssue("needs \(program.needs.joined(separator: ", "))") {
            Issue.record("\(program.name) was not tried")
        }
    }

    @Test("a profile may refuse Unix sockets", .enabled(if: SandboxTests.tiers.contains(.ownUser)))
    func refusedSockets() async throws {
        let script = "ssh-agent true"
        let record = try await Self.run(script, .ownUser, unixSockets: false)
        #expect(!record.isSuccess)
    }

    @Test(
        "a terminal's outputs may be opened by their names",
        arguments: SandboxTests.tiers.filter { $0 >= .namespaces })
    func terminal(tier: SandboxTier) async throws {
        try await withDirectory { directory in
            let (home, work) = (directory + "/a", directory + "/w")
            for path in [home, work] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            }
            let script =
                "echo one > /dev/stdout && echo two > /dev/stderr && echo three > \"$(tty)\" && echo four > /dev/tty"
            let spec = try TestSandbox.plan(tier, directory: directory).launch(
                ["/bin/bash", "-c", script], profile: .measured, workspace: work,
                connection: .terminal(token: [1], orphanGrace: .seconds(1)))
            try Data(spec.encoded).write(to: URL(fileURLWithPath: home + "/" + ShimFiles.launch))
            let shim = ManagedProcess(
                buildDirectory + "/orchestra-shim", ["agent", home], log: directory + "/shim.log")
            try await shim.start()
            _ = try await shim.wait()
            let bytes = try #require(FileManager.default.contents(atPath: home + "/" + ShimFiles.exit))
            let record = try ExitRecord(decoding: Array(bytes))
            let log = String(
                decoding: FileManager.default.contents(atPath: home + "/output.log") ?? Data(),
                as: UTF8.self)
            #expect(record.isSuccess, "\(record.summary): \(log)")
            for word in ["one", "two", "three", "four"] { #expect(log.contains(word), "\(log)") }
        }
    }

    @Test("a command that is canceled leaves what it had written, marked as stopped")
    func canceled() async throws {
        try await withDirectory { directory in
            let work = directory + "/w"
            try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
            let runner = try Self.runner(.namespaces, directory)
            let script = "echo partial output; echo err >&2; touch begun; sleep 600"
            let running = Task {
                try await runner.run(
                    ["/bin/bash", "-c", script], input: [], profile: .measured, workspacePath: work)
            }
            try await eventually("it has begun") {
                FileManager.default.fileExists(atPath: work + "/begun")
            }
            running.cancel()
            let error = await #expect(throws: CommandInterruption.self) { try await running.value }
            let record = try #require(error?.record)
            #expect(record.endedBy == .stop)
            #expect(
                record.output == Array("partial output\n".utf8) && record.errorOutput == Array("err\n".utf8)
            )
        }
    }

    @Test(
        "a status above 128 is a status, and a signal is one only where there was one",
        arguments: SandboxTests.tiers,
        [("exit 255", 255, 0), ("exit 137", 137, 0), ("kill -TERM $$", 143, 15)]
            as [(String, Int32, Int32)])
    func statuses(tier: SandboxTier, end: (script: String, code: Int32, signal: Int32)) async throws {
        let record = try await Self.run(end.script, tier, processes: 8192)
        #expect(record.code == end.code && record.signal == end.signal, "\(record.summary)")
        #expect(record.isCutOff == (end.signal != 0))
    }

    /// Else it would be started once more, and the node would take its host for broken.
    @Test(
        "a program that ends its parent at once has been started",
        arguments: SandboxTests.tiers.filter { $0 >= .namespaces })
    func endedParent(tier: SandboxTier) async throws {
        try await withThrowingTaskGroup(of: ExitRecord.self) { group in
            for _ in 0..<12 { group.addTask { try await Self.run("kill -KILL $PPID", tier, processes: 8192) } }
            for try await record in group { #expect(record.signal == 9, "\(record.summary)") }
        }
    }

    @Test("of a long output the beginning and the end are kept")
    func longOutput() async throws {
        let record = try await Self.run(
            "echo first; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last", .namespaces)
        let text = String(decoding: record.output, as: UTF8.self)
        #expect(text.hasPrefix("first\n") && text.hasSuffix("last\n"))
        #expect(
            record.outputLeftOut > 200_000 && text.contains("[\(record.outputLeftOut) bytes left out]"))
    }

    private static func runner(_ tier: SandboxTier, _ directory: String) throws -> CommandRunner {
        CommandRunner(
            configuration: AgentConfiguration(
                root: directory + "/a", workspaces: directory, shim: buildDirectory + "/orchestra-shim",
                tmux: "/usr/bin/tmux", plan: TestSandbox.plan(tier, directory: directory),
                orphanGrace: .seconds(5),
                secrets: SecretStore(root: directory + "/s")), processID: getpid())
    }

    private static func run(
        _ script: String, _ tier: SandboxTier, unixSockets: Bool = true, processes: Int = 256
    ) async throws -> ExitRecord {
        try await withDirectory { directory in
            let work = directory + "/w"
            try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
            let profile = SandboxProfile(
                name: .measured, summary: "x", lowestTier: .landlock, processLimit: processes,
                openFileLimit: 1024,
                fileSizeLimit: 1 << 30, memoryLimit: 4 << 30, treeMemoryLimit: 2 << 30,
                temporarySize: 64 << 20,
                homeSize: 16 << 20, environment: [:], readOnlyPaths: [], allowsUnixSockets: unixSockets)
            return try await Self.runner(tier, directory).run(
                ["/bin/bash", "-c", script], input: [], profile: profile, workspacePath: work)
        }
    }
}
