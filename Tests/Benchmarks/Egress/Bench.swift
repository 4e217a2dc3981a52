import CLinux
import Domain
import Egress
import EgressServer
import Foundation
import NIOCore
import NIOPosix
import ShimProtocol
import TestSupport
import TransportSecurity

/// What the egress server costs, each figure against a direct connection in the same run.
@main
struct Bench {
    /// The model's answer: a small document, or a stream of events with the time of each.
    static let streamEvents = 100
    static let document = #"{"id":"x","model":"m","usage":{"input_tokens":10,"output_tokens":5}}"#

    static func main() async throws {
        let arguments = CommandLine.arguments
        func option(_ name: String, _ standard: Int) -> Int {
            arguments.firstIndex(of: name).flatMap { arguments.indices.contains($0 + 1) ? Int(arguments[$0 + 1]) : nil }
                ?? standard
        }
        let (calls, streams, megabytes) = (
            option("--calls", 500), option("--streams", 1000), option("--megabytes", 2000)
        )
        // Client and provider of each stream are in this process.
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            limit.rlim_cur = limit.rlim_max
            _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        try self.decisions()
        try await withDirectory { directory in
            let made = try await runProgram(
                "/bin/sh",
                [
                    "-c",
                    "cd \(directory) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem "
                        + "-out cert.pem -subj /CN=model -addext subjectAltName=DNS:model.bench.test -days 2",
                ])
            guard made.code == 0 else { throw TestFailure(made.errors) }
            let group = MultiThreadedEventLoopGroup.singleton
            let model = try await Model.start(directory, group)
            let source = try await Source.start(group)
            let server = try await Server.start(directory, model: model, source: source, launches: streams / 200 + 1)
            try await self.latency(server, model, directory, group, calls)
            try await self.events(server, model, directory, group)
            try await self.memory(server, group, streams)
            try await self.tunnel(server, source, directory, megabytes)
            server.process.terminate()
        }
    }

    /// The pure decision of a CONNECT, from the bytes of its head to the question to the resolver.
    static func decisions() throws {
        let entries: [JSONValue] = (0..<100).map {
            ["id": .string("e\($0)"), "host": .string("*.host\($0).example.test")]
        }
        let configuration = TunnelConfiguration(rules: try EgressRules(parsing: entries))
        let head = Array("CONNECT a.host77.example.test:443 HTTP/1.1\r\nHost: a.host77.example.test:443\r\n\r\n".utf8)
        let count = 100_000
        var asked = 0
        let time = ContinuousClock().measure {
            for _ in 0..<count {
                var machine = TunnelMachine(configuration)
                asked += machine.received(head).count
            }
        }
        guard asked == count else { throw TestFailure("not every request was allowed") }
        say("decision of a CONNECT among 100 entries: \(Self.text(time.seconds / Double(count) * 1e6)) us")
    }

    static func latency(
        _ server: Server, _ model: Model, _ directory: String, _ group: MultiThreadedEventLoopGroup, _ calls: Int
    ) async throws {
        var (through, direct, kept): ([Double], [Double], [Double]) = ([], [], [])
        let client = try await KeptClient(port: model.port, tls: directory + "/cert.pem", group)
        for number in 0..<calls + 20 {
            let a = try await Client.call(
                port: server.ports[0], tls: nil, request: Client.request(isStreamed: false), group)
            let b = try await Client.call(
                port: model.port, tls: directory + "/cert.pem", request: Client.direct(isStreamed: false), group)
            let c = try await client.call(Client.direct(isStreamed: false))
            guard number >= 20 else { continue }
            kept.append(c)
            through.append(a.seconds)
            direct.append(b.seconds)
        }
        func line(_ name: String, _ values: [Double]) -> Double {
            let (middle, high) = Self.percentiles(values)
            say("call of a model, \(name), ms: p50 \(Self.text(middle * 1e3)) p99 \(Self.text(high * 1e3))")
            return middle
        }
        let middle = line("through the listener, a connection each", through)
        let connecting = line("direct, a connection with TLS each", direct)
        let keeping = line("direct, a connection with TLS that is kept", kept)
        say(
            "added p50, ms: \(Self.text((middle - connecting) * 1e3)) to a connection each, \(Self.text((middle - keeping) * 1e3)) to one that is kept"
        )
    }

    static func events(
        _ server: Server, _ model: Model, _ directory: String, _ group: MultiThreadedEventLoopGroup
    ) async throws {
        let a = try await Client.call(port: server.ports[0], tls: nil, request: Client.request(isStreamed: true), group)
        let b = try await Client.call(
            port: model.port, tls: directory + "/cert.pem", request: Client.direct(isStreamed: true), group)
        let (p, q) = (Self.percentiles(a.delays), Self.percentiles(b.delays))
        say(
            "event of a stream visible after the upstream's, ms: through p50 \(Self.text(p.0 * 1e3)) p99 \(Self.text(p.1 * 1e3)); direct p50 \(Self.text(q.0 * 1e3)) p99 \(Self.text(q.1 * 1e3))"
        )
    }

    static func memory(_ server: Server, _ group: MultiThreadedEventLoopGroup, _ streams: Int) async throws {
        let before = server.peakMegabytes
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<streams {
                let port = server.ports[1 + number % (server.ports.count - 1)]
                tasks.addTask {
                    _ = try await Client.call(
                        port: port, tls: nil, request: Client.request(isStreamed: true, isSlow: true), group)
                }
            }
            try await tasks.waitForAll()
        }
        let most = server.peakMegabytes
        say("\(streams) streams at once: \(Self.text(most)) MB, \(Self.text(most - before)) MB more than before")
    }

    static func tunnel(_ server: Server, _ source: Source, _ directory: String, _ megabytes: Int) async throws {
        let bytes = megabytes << 20
        func run(_ name: String, port: Int, connects: Bool, process: Int32?) throws -> Double {
            let before = process.map(Server.processorSeconds) ?? 0
            let time = try ContinuousClock().measure {
                try Source.read(bytes, port: port, target: connects ? "source.bench.test:443" : nil)
            }
            let used = process.map { Server.processorSeconds($0) - before } ?? 0
            let rate = Double(bytes) / time.seconds / 1e9
            let core =
                used > 0 ? ", \(Self.text(Double(bytes) / used / 1e9)) GB/s for each second of its processor" : ""
            say("tunnel, \(name): \(Self.text(rate)) GB/s\(core)")
            return rate
        }
        let direct = try run("direct", port: source.port, connects: false, process: nil)
        let through = try run(
            "through the listener", port: server.ports[0], connects: true, process: server.process.processIdentifier)
        say("ratio to direct: \(Self.text(through / direct))")
        guard let proxy = try await Tinyproxy.start(directory, source: source) else {
            say("tinyproxy is not installed: no comparison")
            return
        }
        defer { proxy.process.terminate() }
        let before = Server.processorSeconds(proxy.process.processIdentifier)
        let time = try ContinuousClock().measure {
            try Source.read(bytes, port: proxy.port, target: "127.0.0.1:\(source.port)")
        }
        let used = Server.processorSeconds(proxy.process.processIdentifier) - before
        let rate = Double(bytes) / time.seconds / 1e9
        say(
            "tunnel, tinyproxy: \(Self.text(rate)) GB/s, \(Self.text(Double(bytes) / max(used, 0.01) / 1e9)) GB/s for each second of its processor"
        )
        say("ratio to tinyproxy: \(Self.text(through / rate))")
    }

    static func percentiles(_ values: [Double]) -> (Double, Double) {
        let sorted = values.sorted()
        guard let last = sorted.last else { return (0, 0) }
        return (sorted[sorted.count / 2], sorted.count >= 100 ? sorted[sorted.count * 99 / 100] : last)
    }

    static func text(_ value: Double) -> String { String(format: "%.3f", value) }
}

extension Duration {
    var seconds: Double { Double(self.components.seconds) + Double(self.components.attoseconds) / 1e18 }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
