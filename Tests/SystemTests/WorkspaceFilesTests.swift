import Domain
import Foundation
import Jobs
import TestSupport
import Testing

/// Files of a workspace out and in, with a real node, real sandboxes and the tar of this machine.
@Suite("Files of a workspace", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct WorkspaceFilesTests {
    /// One member of an archive, as any program may write it.
    struct Member: Sendable {
        var name: String
        var type: Character = "0"
        var link = ""
        var mode = 0o644
        var content = "x"

        /// A header of POSIX.1-1988 and the content, in whole blocks.
        var bytes: [UInt8] {
            var header = [UInt8](repeating: 0, count: 512)
            func put(_ text: String, at offset: Int) {
                for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
            }
            func octal(_ value: Int, _ width: Int) -> String {
                let digits = String(value, radix: 8)
                return String(repeating: "0", count: width - digits.count) + digits
            }
            let isFile = self.type == "0"
            put(self.name, at: 0)
            for (value, offset) in [(self.mode, 100), (0, 108), (0, 116)] { put(octal(value, 7), at: offset) }
            put(octal(isFile ? self.content.utf8.count : 0, 11), at: 124)
            put(octal(0, 11) + "\0        \(self.type)\(self.link)", at: 136)
            put("ustar\u{0}00root", at: 257)
            put("root", at: 297)
            for offset in [329, 337] { put(octal(1, 7), at: offset) }
            put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\0", at: 148)
            let body = isFile ? Array(self.content.utf8) : []
            return header + body + [UInt8](repeating: 0, count: (512 - body.count % 512) % 512)
        }
    }

    static func archive(_ members: [Member], at path: String) throws {
        let bytes = members.flatMap(\.bytes) + [UInt8](repeating: 0, count: 1024)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private struct Bench: Sendable {
        let installation: Installation

        /// Runs a command in the workspace, as the node does; its output.
        @discardableResult
        func work(_ command: String) async throws -> String {
            let record = try await self.installation.ended(
                try await self.installation.submit("shell.run", ["command": .string(command)]))
            let result = try await self.installation.result(record)
            guard record.state == .completed else { throw TestFailure("\(command): \(result.text)") }
            return result["stdout"]?.string ?? ""
        }

        func run(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
            try await self.installation.command(["workspaces"] + arguments)
        }

        /// Everything in the workspace with kind, mode, links and content.
        func state() async throws -> String {
            try await self.work("find . -printf '%p %y %m %l\\n' | sort; find . -type f -exec cat {} + | sha256sum")
        }

        func rows() async throws -> [JSONValue] {
            try await self.installation.queue.auditTrail(
                of: try WorkspaceID("acme"), before: nil, limit: 200
            ).events.map { try JSONParser.parse($0) }.filter { $0["kind"] == "workspace.files" }
        }
    }

    private static func with(_ body: @escaping @Sendable (Bench) async throws -> Void) async throws {
        try await Installation.with { installation in
            try await installation.start(installation.node("n1"))
            try await body(Bench(installation: installation))
        }
    }

    @Test(
        "what an agent left comes out as it is: a link as a link, no set-uid bit, no owner, and what may not be read not"
    )
    func out() async throws {
        try await Self.with { bench in
            try await bench.work(
                """
                echo one > a; chmod 4755 a || true; mkdir d; echo two > d/b; ln -s /etc/passwd link; ln -s /proc/1/root root
                ln -s ../../../../../../etc/passwd d/up; mkfifo pipe; echo three > "$(printf 'new\\nline')"; mkdir .orchestra-put
                """)
            let file = bench.installation.directory + "/out.tar"
            let got = try await bench.run("get", "acme", "--file", file)
            #expect(got.code == 0, "\(got.errors)")
            let list = try await runProgram("/usr/bin/tar", ["--list", "--verbose", "--file", file]).output
            #expect(list.contains("./link -> /etc/passwd") && list.contains("./d/up -> ../../../../../../etc/passwd"))
            #expect(list.contains("./root -> /proc/1/root") && list.contains("prw") && !list.contains(".orchestra-put"))
            #expect(list.contains("nobody/nogroup") && !list.contains("rws") && !list.contains("1000"), "\(list)")
            let bytes = try #require(FileManager.default.contents(atPath: file))
            #expect(!String(decoding: bytes, as: UTF8.self).contains("root:x:0:0"))
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber
            #expect(mode?.intValue == 0o600)
            let rows = try await bench.rows()
            #expect(rows.map { $0["status"]?.string } == ["done", "asked"] && rows[0]["action"] == "get")
            #expect(
                rows[0]["files"]?["bytes"]?.integer == Int64(bytes.count) && rows[0]["files"]?["entries"]?.integer == 9)
            #expect(rows[0]["actor"]?.string?.hasPrefix("cli:") == true)

            // To standard output, and a part of it.
            let part = try await runProgram(
                "/bin/bash",
                ["-c", "'\(buildDirectory)/orchestra' workspaces get acme d | tar --list --file=- | sort"],
                environment: bench.installation.environment(node: "n1"))
            #expect(part.output == "./d/\n./d/b\n./d/up\n", "\(part)")
            // By a link that leads out of the workspace nothing of the host is reached: the sandbox's own file is.
            let through = try await bench.run("get", "acme", "root/etc/shadow", "--file", file + "2")
            #expect(through.code == 65 && !FileManager.default.fileExists(atPath: file + "2"), "\(through)")
        }
    }

    @Test("past a bound, or where a file cannot be read, no file of the archive is left")
    func outBounds() async throws {
        try await Self.with { bench in
            try await bench.work("head -c 100000 /dev/zero > a; touch b c; touch secret; chmod 000 secret")
            let file = bench.installation.directory + "/out.tar"
            for (arguments, code, words) in [
                (["a", "--max-bytes", "50000"], 65, "more than 50000 bytes"),
                (["a", "b", "c", "--max-entries", "2"], 65, "more than 2 entries"),
                (["secret"], 65, "Permission denied"), (["nothing"], 65, "No such file"),
                (["../other"], 64, "without '..'"), (["/etc/passwd"], 64, "relative path"),
            ] as [([String], Int32, String)] {
                let result = try await bench.installation.command(
                    ["workspaces", "get", "acme", "--file", file] + arguments)
                #expect(result.code == code && result.errors.contains(words), "\(arguments): \(result)")
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: bench.installation.directory)
            #expect(!left.contains { $0.hasPrefix("out.tar") }, "\(left)")
            #expect(try await bench.rows().first?["status"] == "failed")
        }
    }

    @Test("an archive comes in as the workspace's own files, over those of the same names, without set-uid bits")
    func into() async throws {
        try await Self.with { bench in
            try await bench.work(
                "mkdir d; echo old > d/a; echo keep > d/b; mkdir .orchestra-put; touch .orchestra-put/x; chmod 000 .orchestra-put"
            )
            let file = bench.installation.directory + "/in.tar"
            try Self.archive(
                [
                    Member(name: "./", type: "5", mode: 0o500), Member(name: "d/", type: "5", mode: 0o755),
                    Member(name: "d/a", content: "new"), Member(name: "tool", mode: 0o6755),
                    Member(name: "same", type: "1", link: "tool"), Member(name: "out", type: "2", link: "/etc/passwd"),
                    Member(name: "ro", mode: 0o444),
                ], at: file)
            let put = try await bench.run("put", "acme", "--file", file)
            #expect(put.code == 0 && put.output.contains("7 entries"), "\(put)")
            let state = try await bench.work(
                "cat d/a d/b; find . -perm /7000; find ro -perm /222; [ tool -ef same ] && readlink out; ls -a; echo more >> d/a; cat d/a"
            )
            #expect(state.hasPrefix("newkeep\n/etc/passwd\n") && state.hasSuffix("newmore\n"), "\(state)")
            #expect(!state.contains(".orchestra-put"))
            let rows = try await bench.rows()
            #expect(
                rows.map { $0["status"]?.string } == ["done", "asked"] && rows[0]["files"]?["entries"]?.integer == 7)
            // A workspace that no job has used yet, by a pipe.
            let fresh = try await runProgram(
                "/bin/bash", ["-c", "'\(buildDirectory)/orchestra' workspaces put new < '\(file)'"],
                environment: bench.installation.environment(node: "n1"))
            #expect(fresh.code == 0, "\(fresh)")
            let again = try await bench.installation.command(["workspaces", "get", "new", "--file", file])
            #expect(again.code == 0 && again.errors.contains("7 entries"), "\(again)")
        }
    }

    /// Archives that are refused, each with a word of the reason.
    static let hostile: [(what: String, members: [Member], words: String)] = [
        ("an absolute name", [Member(name: "a"), Member(name: "/tmp/orchestra-out")], "'/tmp/orchestra-out'"),
        ("a name that climbs", [Member(name: "a"), Member(name: "x/../../orchestra-out")], "'..'"),
        ("a device", [Member(name: "a"), Member(name: "null", type: "3")], "null"),
        ("a block device", [Member(name: "disk", type: "4")], "disk"),
        ("a hard link to a file outside", [Member(name: "hard", type: "1", link: "/etc/passwd")], "hard"),
        ("a hard link to a file of the workspace", [Member(name: "hard", type: "1", link: "keep")], "hard"),
        (
            "a file through its own link",
            [Member(name: "l", type: "2", link: "/tmp"), Member(name: "l/orchestra-out")], "l/orchestra-out"
        ),
        ("a directory for a file", [Member(name: "keep/", type: "5", mode: 0o755)], "keep is a directory"),
        ("a directory for a link", [Member(name: "link/", type: "5"), Member(name: "link/x")], "link is a directory"),
        ("a file for a directory", [Member(name: "d")], "d is a directory"),
    ]

    @Test("a hostile archive is refused as a whole: the workspace stays as it was and nothing is anywhere else")
    func refused() async throws {
        try await Self.with { bench in
            try await bench.work("echo keep > keep; mkdir d; echo in > d/in; ln -s /tmp link")
            let before = try await bench.state()
            let file = bench.installation.directory + "/in.tar"
            for (what, members, words) in Self.hostile {
                try Self.archive(members, at: file)
                let put = try await bench.run("put", "acme", "--file", file)
                #expect(put.code == 65 && put.errors.contains(words), "\(what): \(put)")
                #expect(try await bench.state() == before, "\(what)")
                #expect(!FileManager.default.fileExists(atPath: "/tmp/orchestra-out"), "\(what)")
            }
            // Of a few bytes that would be a file above the profile's limit; compressed; cut; nothing; no archive at all.
            let odd = try await runProgram(
                "/bin/bash",
                [
                    "-c",
                    """
                    set -e; cd '\(bench.installation.directory)'; truncate -s 3G big; tar -S -c -f sparse.tar big; rm big
                    tar -c -z -f zip.tar n1.log; head -c 700 in.tar > cut.tar; : > empty.tar; echo words > words.tar
                    """,
                ])
            #expect(odd.code == 0, "\(odd)")
            for name in ["sparse", "zip", "cut", "empty", "words"] {
                let put = try await bench.run(
                    "put", "acme", "--file", "\(bench.installation.directory)/\(name).tar")
                #expect(put.code == 65, "\(name): \(put)")
                #expect(try await bench.state() == before, "\(name)")
            }
            let rows = try await bench.rows()
            #expect(rows.count == 2 * (Self.hostile.count + 5))
            #expect(rows.filter { $0["status"] == "failed" && $0["error_reason"] != nil }.count == rows.count / 2)
        }
    }

    @Test("past a bound of bytes, entries or time nothing is changed")
    func inBounds() async throws {
        try await Self.with { bench in
            try await bench.work("echo keep > keep")
            let before = try await bench.state()
            let file = bench.installation.directory + "/in.tar"
            try Self.archive((0..<50).map { Member(name: "f\($0)") }, at: file)
            for (arguments, words) in [
                (["--max-bytes", "20000"], "more than 20000 bytes"), (["--max-entries", "49"], "more than 49 entries"),
            ] {
                let put = try await bench.installation.command(
                    ["workspaces", "put", "acme", "--file", file] + arguments)
                #expect(put.code == 65 && put.errors.contains(words), "\(put)")
                #expect(try await bench.state() == before)
            }
            // An archive that never ends.
            let slow = try await runProgram(
                "/bin/bash",
                [
                    "-c",
                    "'\(buildDirectory)/orchestra' workspaces put acme --timeout 2 < <(head -c 5120 '\(file)'; exec sleep 20); echo code=$?",
                ], environment: bench.installation.environment(node: "n1"))
            #expect(slow.output.contains("code=70") && slow.errors.contains("longer than 2 s"), "\(slow)")
            #expect(try await bench.state() == before)
        }
    }

    @Test("a workspace in quarantine can be read and not written; without files on this machine both say so")
    func refusals() async throws {
        try await Self.with { bench in
            try await bench.work("echo evidence > a")
            let file = bench.installation.directory + "/x.tar"
            let nowhere = try await bench.installation.command(
                ["workspaces", "get", "acme", "--file", file],
                change: ["ORCHESTRA_STATE_DIRECTORY": bench.installation.directory + "/none"])
            #expect(nowhere.code == 69 && nowhere.errors.contains("there is no state directory"), "\(nowhere)")
            let unknown = try await bench.run("get", "other", "--file", file)
            #expect(unknown.code == 65 && unknown.errors.contains("no files of the workspace 'other'"), "\(unknown)")
            let profile = try await bench.run("get", "acme", "--profile", "none", "--file", file)
            #expect(profile.code == 64 && profile.errors.contains("no sandbox profile"), "\(profile)")
            #expect(try await bench.rows().isEmpty)
            _ = try await bench.run("quarantine", "acme", "--reason", "seen outside")
            let get = try await bench.run("get", "acme", "--file", file)
            #expect(get.code == 0 && get.errors.contains("in quarantine: seen outside"), "\(get)")
            let put = try await bench.run("put", "acme", "--file", file)
            #expect(put.code == 77 && put.errors.contains("workspaces release acme"), "\(put)")
            #expect(try await bench.rows().map { $0["status"]?.string } == ["failed", "asked", "done", "asked"])
        }
    }
}
