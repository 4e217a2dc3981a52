import Domain
import Foundation
import Jobs
import TestSupport
import Testing

/// A node that lacks something of its own must not harm the jobs.
@Suite("A node in trouble", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct NodeTroubleTests {
    @Test("an agent whose files cannot be read for a while runs on, and is launched once")
    func unreadableFiles() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let marker = "sleep 2.\(Int.random(in: 1000...9999))"
            let job = try await installation.submit(
                "agent.run", ["agent": "shell", "prompt": .string("\(marker); touch seen; sleep 1; echo is-over")])
            try await eventually("it runs") { !ProcessTable().matching(marker).isEmpty }
            let launch = "\(installation.directory)/n1/agents/\(job)/1"
            try Self.setMode(0, of: launch)
            // The node looks at the screen several times until then.
            let seen = "\(installation.directory)/n1/workspaces/acme/seen"
            try await eventually("its first command ends") { FileManager.default.fileExists(atPath: seen) }
            try Self.setMode(0o700, of: launch)
            let record = try await installation.ended(job)
            #expect(record.state == .completed && record.failures == 0 && record.crashes == 0, "\(record.reason)")
            let result = try await installation.result(record)
            #expect(result["launches"]?.integer == 1)
            #expect(result["terminal"]?.string?.contains("is-over") == true)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    private static func setMode(_ mode: Int16, of path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    @Test("a node whose disk cannot be written returns its jobs uncounted, is not ready, and goes on when it can")
    func readOnly() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let first = try await installation.submit("shell.run", ["command": "true"])
            #expect(try await installation.ended(first).state == .completed)
            let workspaces = installation.directory + "/n1/workspaces"
            try Self.setMode(0o500, of: workspaces)
            var jobs: [JobID] = []
            for _ in 0..<20 {
                jobs.append(try await installation.submit("shell.run", ["command": "true"], workspace: "beta"))
            }
            try await eventually("the node is not ready") {
                let status = try await installation.command(["status"]).output
                return status.contains("not ready") && status.contains("this node cannot launch programs")
            }
            try await eventually("the jobs wait") {
                for job in jobs {
                    guard try await installation.record(job, workspace: "beta").state == .available else {
                        return false
                    }
                }
                return true
            }
            let other = installation.node("n2")
            try await installation.start(other)
            for job in jobs {
                try await eventually("another node runs it") {
                    try await installation.record(job, workspace: "beta").state.isFinal
                }
                let record = try await installation.record(job, workspace: "beta")
                #expect(record.state == .completed && record.failures == 0 && record.node == "n2")
            }
            await other.signal(SIGTERM)
            #expect(try await other.wait().code == 0)
            let last = try await installation.submit("shell.run", ["command": "true"], workspace: "beta")
            try Self.setMode(0o700, of: workspaces)
            try await eventually("the node goes on") {
                try await installation.record(last, workspace: "beta").state.isFinal
            }
            #expect(try await installation.record(last, workspace: "beta").node == "n1")
            #expect(try await installation.command(["status"]).output.contains("not ready") == false)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}
