import Domain
import Foundation
import TestSupport
import Testing

/// The alerts and the dashboard that are shipped, read by the program that will read them.
@Suite("Alerts and the dashboard", .serialized)
struct MonitoringTests {
    private static let ops = packageRoot + "/ops"

    @Test(
        "every rule can be loaded, fires when it should, and not for a quiet node",
        .enabled(if: isInstalled("promtool"), "needs promtool"))
    func rules() async throws {
        let tested = try await runProgram(
            "/usr/bin/promtool", ["test", "rules", Self.ops + "/prometheus/alerts-test.yml"])
        #expect(tested.code == 0, "\(tested.output)\(tested.errors)")
    }

    @Test("every alert has a runbook, and every runbook an alert")
    func runbooks() throws {
        let rules = try String(contentsOfFile: Self.ops + "/prometheus/alerts.yml", encoding: .utf8)
        let page = try String(
            contentsOfFile: packageRoot + "/Sources/Orchestra.docc/Operating.md", encoding: .utf8)
        let alerts = Set(rules.matches(of: /- alert: (\w+)/).map { String($0.1) })
        #expect(alerts.count > 20 && alerts == Set(page.matches(of: /\n\| `(Orchestra\w+)` \|/).map { String($0.1) }))
    }

    @Test(
        "a Prometheus that scrapes a node answers the query of every panel",
        .enabled(
            if: !isRoot && isInstalled("prometheus") && isInstalled("curl"),
            "needs prometheus and curl, and the node refuses to run as root"))
    func panels() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            for _ in 0..<3 { _ = try await installation.ended(try await installation.submit("queue.noop", [:])) }
            let probe = try await Self.logged(node, /"probe.port":"(\d+)"/)
            let server = try await Self.startPrometheus(installation, scraping: probe)
            let address = try await Self.logged(server, /"Listening on" address=(127\.0\.0\.1:\d+)/)
            _ = try await Self.logged(server, /(Server is ready to receive)/)
            func samples(_ query: String) async throws -> Int {
                let answer = try await runProgram(
                    "/usr/bin/curl", ["-s", "http://\(address)/api/v1/query", "--data-urlencode", "query=\(query)"])
                let json = try JSONParser.parse(Array(answer.output.utf8))
                #expect(json["status"]?.string == "success", "\(query): \(answer.output)")
                return json["data"]?["result"]?.array?.count ?? 0
            }
            try await eventually("two scrapes are there") {
                try await samples("count_over_time(orchestra_jobs_total[1m]) > 1") > 0
            }
            var answered = 0
            let queries = try Self.queries()
            for query in queries where try await samples(query) > 0 { answered += 1 }
            // The others are of things that have not happened, such as agents, calls of models and dead letters.
            #expect(queries.count > 20 && answered >= 12, "\(answered) of \(queries.count)")
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    private static func queries() throws -> [String] {
        let file = try String(contentsOfFile: self.ops + "/grafana/orchestra.json", encoding: .utf8)
        let panels = try #require(try JSONParser.parse(Array(file.utf8))["panels"]?.array)
        return panels.flatMap { $0["targets"]?.array ?? [] }.compactMap { $0["expr"]?.string }.map {
            $0.replacing("$instance", with: ".*").replacing("$job", with: "orchestra")
        }
    }

    private static func startPrometheus(
        _ installation: Installation, scraping port: String
    ) async throws -> ManagedProcess {
        let directory = installation.directory + "/prometheus"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try """
        global: {scrape_interval: 1s}
        rule_files: [\(self.ops)/prometheus/alerts.yml]
        scrape_configs:
          - job_name: orchestra
            static_configs: [{targets: ["127.0.0.1:\(port)"]}]
        """.write(toFile: directory + "/prometheus.yml", atomically: false, encoding: .utf8)
        let server = ManagedProcess(
            "/usr/bin/prometheus",
            [
                "--config.file=\(directory)/prometheus.yml", "--storage.tsdb.path=\(directory)/data",
                "--web.listen-address=127.0.0.1:0",
            ], environment: [:], log: directory + "/log")
        try await installation.startClient(server)
        return server
    }

    /// What a program's log says, once it does.
    private static func logged(
        _ process: ManagedProcess, _ pattern: sending Regex<(Substring, Substring)>
    ) async throws -> String {
        var found: String?
        try await eventually("the log has what is looked for") {
            found = await process.output.firstMatch(of: pattern).map { String($0.output.1) }
            return found != nil
        }
        return try #require(found)
    }
}
