import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

extension APISuites {
    /// Files of a workspace over the API, with a real node, real sandboxes, curl and the tar of this machine.
    @Suite(
        "Files of a workspace over the API", .serialized,
        .enabled(
            if: !isRoot && ["curl", "python3"].allSatisfy(isInstalled), "needs curl, python3 and an ordinary user"))
    struct WorkspaceFilesAPITests {
        private static let path = "/ai/workspaces/acme/files"

        private struct Bench: Sendable {
            let api: APIBench
            var installation: Installation { self.api.installation }
            var directory: String { self.installation.directory }

            /// Runs a command in the workspace, as the node does; its output.
            @discardableResult
            func work(_ command: String) async throws -> String {
                let record = try await self.installation.ended(
                    try await self.installation.submit("shell.run", ["command": .string(command)]))
                let result = try await self.installation.result(record)
                guard record.state == .completed else { throw TestFailure("\(command): \(result.text)") }
                return result["stdout"]?.string ?? ""
            }

            /// Everything in the workspace with kind, mode, links and content.
            func state() async throws -> String {
                try await self.work(
                    "find . -printf '%p %y %m %l\\n' | sort; find . -type f -exec cat {} + | sha256sum")
            }

            /// Runs curl with the path; its status, or that of the answer, and what it wrote.
            func curl(
                _ arguments: [String], as role: String = "admin", path: String = WorkspaceFilesAPITests.path,
                port: Int? = nil
            ) async throws -> (code: Int32, status: String, output: String) {
                let result = try await runProgram(
                    "/usr/bin/curl",
                    [
                        "-s", "--max-time", "100", "-w", "%{stderr}%{http_code}",
                        "-H", "Authorization: Bearer \(self.api.keys[role] ?? role)",
                        "http://127.0.0.1:\(port ?? self.api.port)\(path)",
                    ] + arguments)
                return (result.code, result.errors, result.output)
            }

            func put(
                _ file: String, as role: String = "admin", _ more: [String] = [], port: Int? = nil
            ) async throws -> (code: Int32, status: String, output: String) {
                try await self.curl(
                    ["-T", file, "-H", "Content-Type: application/x-tar"] + more, as: role, port: port)
            }

            func rows(_ kind: String = "workspace.files") async throws -> [JSONValue] {
                try await self.api.rows(kind)
            }

            /// Sends the head of a PUT and then what the script says, as Python: `s` is the connection.
            func play(_ head: String, _ script: String, port: Int? = nil) async throws -> String {
                let text =
                    "PUT \(WorkspaceFilesAPITests.path) HTTP/1.1\r\nHost: localhost\r\n"
                    + "Authorization: Bearer \(self.api.keys["admin"] ?? "")\r\n"
                    + "Content-Type: application/x-tar\r\n\(head)\r\n\r\n"
                let result = try await runProgram(
                    "/usr/bin/python3",
                    [
                        "-c",
                        """
                        import socket, sys
                        s = socket.create_connection(('127.0.0.1', \(port ?? self.api.port)))
                        s.settimeout(60)
                        s.sendall(bytes.fromhex('\(text.utf8.map { String(format: "%02x", $0) }.joined())'))
                        \(script)
                        try:
                            while part := s.recv(65536): sys.stdout.write(part.decode())
                        except ConnectionResetError: pass
                        """,
                    ])
                guard result.code == 0 else { throw TestFailure(result.errors) }
                return result.output
            }
        }

        private static func with(
            environment: [String: String] = [:], _ body: @escaping @Sendable (Bench) async throws -> Void
        ) async throws {
            try await APIBench.with(environment: environment) { try await body(Bench(api: $0)) }
        }

        @Test("an archive comes in, jobs see its files on the node that has become the home, and it goes out again")
        func inAndOut() async throws {
            try await Self.with { bench in
                let missing = try await bench.curl([])
                #expect(missing.status == "404" && missing.output.contains("no files yet"), "\(missing)")
                let file = bench.directory + "/in.tar"
                try WorkspaceFilesTests.archive(
                    [
                        .init(name: "d/", type: "5", mode: 0o755), .init(name: "d/a", content: "new"),
                        .init(name: "tool", mode: 0o6755), .init(name: "out", type: "2", link: "/etc/passwd"),
                    ], at: file)
                let put = try await bench.put(file, ["-H", "X-Request-ID: mine"])
                #expect(put.status == "200", "\(put)")
                #expect(try JSONParser.parse(Array(put.output.utf8))["entries"]?.integer == 4)
                #expect(
                    try await bench.work("cat d/a; readlink out; find . -perm /7000; ls -A")
                        == "new/etc/passwd\nd\nout\ntool\n")
                // By chunks, without a length.
                let chunked = try await bench.put(file, ["-H", "Transfer-Encoding: chunked"])
                #expect(chunked.status == "200", "\(chunked)")
                let out = bench.directory + "/out.tar"
                for (query, list) in [("", "./\n./d/\n./d/a\n./out\n./tool\n"), ("?path=d%2Fa", "./d/a\n")] {
                    let got = try await bench.curl(["-o", out], path: Self.path + query)
                    #expect(got.code == 0 && got.status == "200", "\(got)")
                    let names = try await runProgram("/bin/bash", ["-c", "tar --list --file='\(out)' | sort"]).output
                    #expect(names == list, "\(query): \(names)")
                }
                let rows = try await bench.rows()
                #expect(
                    rows.map { "\($0["action"]?.string ?? "") \($0["status"]?.string ?? "")" } == [
                        "put asked", "put done", "put asked", "put done", "get asked", "get done", "get asked",
                        "get done",
                    ])
                for row in rows {
                    #expect(row["actor"]?.string?.hasPrefix("key:") == true && row["node"] == "n1")
                    #expect(row["workspace"] == "acme" && row["address"] == "127.0.0.1" && row["rule"] == "role:admin")
                }
                #expect(rows[0]["request_id"] == "mine" && rows[1]["files"]?["entries"]?.integer == 4)
                let homes = try await bench.rows("workspace.home")
                #expect(homes.count == 1 && homes[0]["status"] == "set" && homes[0]["request_id"] == "mine")
                let requests = try await bench.rows("api.request").compactMap { $0["action"]?.string }
                #expect(requests == ["files.get", "files.put", "files.put", "files.get", "files.get"])
            }
        }

        @Test("who may not, and what is no archive, is refused before the body is sent, and nothing is changed")
        func refusedEarly() async throws {
            try await Self.with(environment: ["ORCHESTRA_API_ARCHIVE_LIMIT": "1000000"]) { bench in
                try await bench.work("echo keep > keep")
                let before = try await bench.state()
                let file = bench.directory + "/in.tar"
                try WorkspaceFilesTests.archive([.init(name: "keep", content: "changed")], at: file)
                for role in ["viewer", "developer"] {
                    #expect(try await bench.put(file, as: role).status == "403")
                    #expect(try await bench.curl([], as: role).status == "403")
                }
                // A workspace is its credential's, whatever the path names.
                #expect(try await bench.put(file, as: "other").status == "404")
                #expect(try await bench.curl([], as: "other").status == "404")
                #expect(try await bench.curl([], path: "/ai/workspaces/other/files").status == "404")
                for path in ["../x", "/etc/passwd", "a/../../b", "%00", ""] {
                    let query = path.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
                    let got = try await bench.curl([], path: Self.path + "?path=" + (path == "%00" ? "%00" : query))
                    #expect(got.status == "422", "\(path): \(got)")
                }
                let none = try await bench.curl([], path: Self.path + "?path=none")
                #expect(none.status == "422" && none.output.contains("No such file"), "\(none)")
                // None of these clients sends a byte of its body.
                let key = bench.api.keys["admin"] ?? ""
                for (credential, type, length, status) in [
                    ("wrong", "application/x-tar", "500000", "401"),
                    (bench.api.keys["viewer"] ?? "", "application/x-tar", "500000", "403"),
                    (key, "application/gzip", "500000", "415"), (key, "application/x-tar", "1000001", "413"),
                    (key, "application/x-tar", "9999999999999", "413"),
                ] {
                    let answer = try await bench.api.raw(
                        "PUT \(Self.path) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(credential)\r\n"
                            + "Content-Type: \(type)\r\nContent-Length: \(length)\r\nExpect: 100-continue\r\n\r\n")
                    #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(type) \(length): \(answer)")
                }
                // One without a length is refused where it passes the bound.
                let long = try await bench.curl([
                    "-X", "PUT", "-H", "Content-Type: application/x-tar", "-H", "Transfer-Encoding: chunked", "-T",
                    "/usr/bin/python3",
                ])
                #expect(["413", "422"].contains(long.status), "\(long)")
                #expect(try await bench.state() == before)
                _ = try await bench.installation.command([
                    "workspaces", "quarantine", "acme", "--reason", "seen outside",
                ])
                let frozen = try await bench.put(file)
                #expect(frozen.status == "403" && frozen.output.contains("quarantine"), "\(frozen)")
                #expect(try await bench.curl(["-o", file + "2"]).status == "200")
            }
        }

        @Test("a hostile archive, and one that does not arrive whole, is refused as a whole")
        func hostile() async throws {
            try await Self.with { bench in
                try await bench.work("echo keep > keep; mkdir d; echo in > d/in; ln -s /tmp link")
                let before = try await bench.state()
                let file = bench.directory + "/in.tar"
                for (what, members, words) in WorkspaceFilesTests.hostile {
                    try WorkspaceFilesTests.archive(members, at: file)
                    let put = try await bench.put(file)
                    #expect(put.status == "422" && put.output.contains(words), "\(what): \(put)")
                    #expect(!FileManager.default.fileExists(atPath: "/tmp/orchestra-out"), "\(what)")
                }
                #expect(try await bench.state() == before)
                try WorkspaceFilesTests.archive([.init(name: "keep", content: "changed"), .init(name: "b")], at: file)
                let size = try #require(FileManager.default.contents(atPath: file)).count
                let read = "data = open('\(file)', 'rb').read()"
                // Cut off by the client, with and without the end of its sending, and an archive that is whole in a body
                // that is not.
                let cases: [(head: String, script: String, status: String?)] = [
                    ("Content-Length: \(size)", "\(read)\ns.sendall(data[:700]); s.close(); sys.exit(0)", nil),
                    ("Content-Length: \(size)", "\(read)\ns.sendall(data[:700]); s.shutdown(socket.SHUT_WR)", "400"),
                    ("Content-Length: \(size + 1)", "\(read)\ns.sendall(data); s.shutdown(socket.SHUT_WR)", "400"),
                    (
                        "Transfer-Encoding: chunked",
                        "\(read)\ns.sendall(b'%x\\r\\n' % len(data) + data + b'\\r\\nzz\\r\\n')", "400"
                    ),
                    (
                        "Transfer-Encoding: chunked",
                        "\(read)\ns.sendall(b'%x\\r\\n' % len(data) + data + b'\\r\\n'); s.shutdown(socket.SHUT_WR)",
                        "400"
                    ),
                    ("Content-Length: \(size)", "\(read)\ns.sendall(data[:700])", "408"),
                ]
                for (index, (head, script, status)) in cases.enumerated() {
                    let answer = try await bench.play(head, script)
                    if let status { #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(index): \(answer)") }
                    try await eventually("the transfer \(index) has ended") {
                        try await bench.rows().filter { $0["status"] == "failed" }.count
                            == WorkspaceFilesTests.hostile.count + index + 1
                    }
                    #expect(try await bench.state() == before, "\(index)")
                }
                let rows = try await bench.rows()
                #expect(rows.count == 2 * (WorkspaceFilesTests.hostile.count + cases.count))
                #expect(rows.filter { $0["status"] == "failed" && $0["error_reason"] != nil }.count == rows.count / 2)
                // It is none of these that is wrong with it.
                #expect(try await bench.put(file).status == "200")
            }
        }

        @Test("one transfer of a workspace runs at a time: another waits for nothing and is refused with 429")
        func twoAtOnce() async throws {
            try await Self.with { bench in
                let file = bench.directory + "/in.tar"
                try WorkspaceFilesTests.archive([.init(name: "a", content: "one")], at: file)
                let size = try #require(FileManager.default.contents(atPath: file)).count
                let go = bench.directory + "/go"
                async let first = bench.play(
                    "Content-Length: \(size)\r\nConnection: close",
                    """
                    import os, time
                    data = open('\(file)', 'rb').read()
                    for place in range(len(data)):
                        s.sendall(data[place:place + 1])
                        if 400 <= place < 1000 and not os.path.exists('\(go)'): time.sleep(0.5)
                    """)
                try await eventually("the first runs") { try await bench.rows().last?["status"] == "asked" }
                let second = try await bench.put(file)
                #expect(second.status == "429" && second.output.contains("moved now"), "\(second)")
                #expect(try await bench.curl([]).status == "429")
                // The lock is also the command line's.
                let command = try await bench.installation.command(["workspaces", "put", "acme", "--file", file])
                #expect(command.code == 69 && command.errors.contains("another transfer"), "\(command)")
                #expect(FileManager.default.createFile(atPath: go, contents: nil))
                let answer = try await first
                #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer)")
                #expect(try await bench.put(file).status == "200")
            }
        }

        @Test("an archive that ends in the middle is a broken answer for every client, also one of HTTP/1.0")
        func broken() async throws {
            try await Self.with { bench in
                try await bench.work("mkdir d; head -c 3000000 /dev/urandom > d/a; touch d/b; chmod 000 d/b")
                let out = bench.directory + "/out.tar"
                for version in ["--http1.1", "--http1.0"] {
                    let got = try await bench.curl([version, "-o", out])
                    #expect(got.code == 18 || got.code == 56, "\(version): \(got)")
                }
                try await eventually("both have ended") {
                    try await bench.rows().filter { $0["status"] == "failed" }.count == 2
                }
                #expect(try await bench.rows().last?["error_reason"]?.string?.contains("Permission denied") == true)
                // Of few bytes nothing is sent before it is known.
                let small = try await bench.curl([], path: Self.path + "?path=d%2Fb")
                #expect(small.status == "422" && small.output.contains("Permission denied"), "\(small)")
                // A client that goes away in the middle.
                try await bench.work("rm -f d/b; head -c 30000000 /dev/urandom > d/a")
                let left = try await runProgram(
                    "/bin/bash",
                    [
                        "-c",
                        "curl -s -H 'Authorization: Bearer \(bench.api.keys["admin"] ?? "")' http://127.0.0.1:\(bench.api.port)\(Self.path) | head -c 100000 | wc -c",
                    ])
                #expect(left.output.contains("100000"))
                try await eventually("that one has ended") {
                    try await bench.rows().filter { $0["status"] == "failed" }.count == 4
                }
                #expect(try await bench.curl(["-o", out]).code == 0)
            }
        }

        @Test("a large archive goes in and out through a node whose memory does not grow with it")
        func memory() async throws {
            try await Self.with { bench in
                let (small, large, out) = (
                    "\(bench.directory)/s.tar", "\(bench.directory)/l.tar", "\(bench.directory)/o.tar"
                )
                let made = try await runProgram(
                    "/bin/bash",
                    [
                        "-c",
                        """
                        set -e; cd '\(bench.directory)'; mkdir m; head -c 100000 /dev/urandom > m/a; tar -C m -cf s.tar .
                        head -c 67108864 /dev/urandom > m/a; tar -C m -cf l.tar .
                        """,
                    ])
                #expect(made.code == 0, "\(made)")
                for _ in 0..<2 {
                    #expect(try await bench.put(small).status == "200")
                    #expect(try await bench.curl(["-o", out]).code == 0)
                }
                let process = await bench.api.node.processID
                func peak() throws -> Int {
                    let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
                    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
                    return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) })
                }
                let before = try peak()
                #expect(try await bench.put(large).status == "200")
                // A reader that is slower than the disk.
                #expect(try await bench.curl(["-o", out, "--limit-rate", "20M"]).code == 0)
                let growth = try peak() - before
                #expect(growth < 24 * 1024, "grew by \(growth) KiB")
                let same = try await runProgram(
                    "/bin/bash", ["-c", "tar -xOf '\(out)' ./a | cmp - '\(bench.directory)/m/a' && echo same"])
                #expect(same.output == "same\n", "\(same)")
            }
        }

        @Test("a node that has not the files, and not the address of the one that has, names that one")
        func elsewhere() async throws {
            try await Self.with { bench in
                try await bench.work("echo here > a")
                try await Self.withSecond(bench) { port in
                    let file = bench.directory + "/in.tar"
                    try WorkspaceFilesTests.archive([.init(name: "b")], at: file)
                    let put = try await bench.put(file, port: port)
                    #expect(put.status == "421" && put.output.contains("files are on the node 'n1'"), "\(put)")
                    #expect(try await bench.curl([], port: port).status == "421")
                    #expect(try await bench.rows().isEmpty)
                }
            }
        }

        private static func withSecond(_ bench: Bench, _ body: (Int) async throws -> Void) async throws {
            let second = try await APIBench.start("n2", bench.installation)
            try await body(try await APIBench.port(of: second))
            await second.signal(SIGTERM)
            _ = try await second.wait()
        }

        @Test("files move through a node that has not got them, whole or not at all, and the home writes their rows")
        func forwarded() async throws {
            let port = try await ForwardingTests.freePort()
            try await Self.with(environment: [
                "ORCHESTRA_API_LISTEN": "127.0.0.1:\(port)", "ORCHESTRA_API_ADVERTISE": "http://127.0.0.1:\(port)",
            ]) { bench in
                try await bench.work("echo keep > keep; ln -s /tmp link")
                let before = try await bench.state()
                try await eventually("the address of n1 is known") {
                    try await bench.installation.client.send(RedisCommand("EXISTS", "orc:{l0}:api:n1")).integer == 1
                }
                try await Self.withSecond(bench) { port in
                    let (file, out) = (bench.directory + "/in.tar", bench.directory + "/out.tar")
                    for (what, members, words) in WorkspaceFilesTests.hostile.prefix(3) {
                        try WorkspaceFilesTests.archive(members, at: file)
                        let put = try await bench.put(file, port: port)
                        #expect(put.status == "422" && put.output.contains(words), "\(what): \(put)")
                    }
                    let cut = try await bench.play(
                        "Content-Length: 5000", "s.sendall(b'x' * 100); s.shutdown(socket.SHUT_WR)", port: port)
                    #expect(cut.hasPrefix("HTTP/1.1 400 "), "\(cut)")
                    #expect(try await bench.put(file, as: "viewer", port: port).status == "403")
                    // The home may still tidy up after the one that was cut short.
                    try await eventually("nothing of the refused ones is left") {
                        try await bench.state() == before
                    }
                    try WorkspaceFilesTests.archive([.init(name: "b", content: "through")], at: file)
                    try await eventually("the archive is taken") {
                        let put = try await bench.put(file, ["-H", "X-Request-ID: mine"], port: port)
                        #expect(["200", "429"].contains(put.status), "\(put)")
                        return put.output.contains("\"entries\":1")
                    }
                    try await bench.work("head -c 20000000 /dev/urandom > a; cat b")
                    let sum = try await bench.work("sha256sum < a")
                    #expect(try await bench.curl(["-o", out], port: port).code == 0)
                    let same = try await runProgram("/bin/bash", ["-c", "tar -xOf '\(out)' ./a | sha256sum"])
                    #expect(same.output == sum)
                    let none = try await bench.curl([], path: Self.path + "?path=none", port: port)
                    #expect(none.status == "422" && none.output.contains("No such file"), "\(none)")
                    try await bench.work("touch z; chmod 000 z")
                    let broken = try await bench.curl(["-o", out], port: port)
                    #expect(broken.code == 18 || broken.code == 56, "\(broken)")
                    let rows = try await bench.rows()
                    #expect(rows.allSatisfy { $0["node"] == "n1" } && rows.contains { $0["request_id"] == "mine" })
                    let requests = try await bench.rows("api.request").filter { $0["request_id"] == "mine" }
                    #expect(Set(requests.compactMap { $0["node"]?.string }) == ["n1", "n2"])
                }
            }
        }
    }
}
