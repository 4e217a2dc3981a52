import CLinux
import Domain
import Egress
import EgressServer
import Foundation
import ShimProtocol
import TestSupport

/// The real server process, with this one in the place of the node and of the shims.
struct Server: Sendable {
    let process: Process
    /// The ports of listeners, one a launch.
    let ports: [Int]

    static func start(_ directory: String, model: Model, source: Source, launches: Int) async throws -> Server {
        let entries: [JSONValue] = [
            [
                "id": "model", "host": "model.bench.test", "door": "model", "provider": "anthropic",
                "credential": "bench",
            ],
            ["id": "source", "host": "source.bench.test", "protocol": "tcp"],
        ]
        let profile = try DefinitionName("bench")
        let socket = directory + "/egress.sock"
        let configuration = EgressServerConfiguration(
            socket: socket, generation: 1, entries: [profile: entries],
            overrides: try EgressServerConfiguration.overrides(
                "model.bench.test=127.0.0.1:\(model.port),source.bench.test=127.0.0.1:\(source.port)"),
            authorityFile: directory + "/cert.pem")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: buildDirectory + "/orchestra")
        process.arguments = ["egress-server"]
        process.environment = ["PATH": "/usr/bin:/bin", "SWIFT_BACKTRACE": "enable=no"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(configuration.encoded + [UInt8(ascii: "\n")]))
        self.acknowledge(output.fileHandleForReading, input.fileHandleForWriting)
        try await eventually("the server listens") { unsafe orc_probe_unix(socket) == 0 }
        var ports: [Int] = []
        for launch in 0..<launches {
            ports.append(try self.handOver(launch, socket, profile))
        }
        return Server(process: process, ports: ports)
    }

    /// Answers each event at once, with a credential for those that are decided.
    private static func acknowledge(_ events: FileHandle, _ answers: FileHandle) {
        let answer = EgressAcknowledgement(credential: "sk-bench").encoded
        let thread = Thread {
            var rest = Data()
            var buffer = [UInt8](repeating: 0, count: 64 * 1024)
            while true {
                let count = unsafe read(events.fileDescriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest += buffer[..<count]
                var lines = Data()
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = rest[rest.startIndex..<end]
                    rest = rest[rest.index(after: end)...]
                    // The number stands first: {"n":12,"event":…
                    guard line.starts(with: #"{"n":"#.utf8) else { continue }
                    let digits = line.dropFirst(5).prefix { (0x30...0x39).contains($0) }
                    lines += digits + answer + [UInt8(ascii: "\n")]
                }
                do { try answers.write(contentsOf: lines) } catch { return }
            }
        }
        thread.start()
    }

    private static func handOver(_ launch: Int, _ socket: String, _ profile: DefinitionName) throws -> Int {
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(listener, address, size) == 0 && listen(listener, 1024) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        let hello = EgressHello(
            workspace: try WorkspaceID("bench"),
            job: JobID(milliseconds: 1, randomHigh: UInt64(launch), randomLow: 1), launch: 1, profile: profile,
            secret: "0"
        ).encoded
        let connection = unsafe orc_connect_unix_at_once(socket)
        guard bound, connection >= 0,
            unsafe orc_send_descriptor(connection, hello, hello.count, listener) == Int32(hello.count)
        else { throw TestFailure("a listener could not be handed over") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The most memory that the process had so far.
    var peakMegabytes: Double {
        let text = FileManager.default.contents(atPath: "/proc/\(self.process.processIdentifier)/status") ?? Data()
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kibibytes = line?.split { $0 == " " || $0 == "\t" }.dropFirst().first.flatMap { Double($0) }
        return (kibibytes ?? 0) * 1024 / 1e6
    }

    static func processorSeconds(_ process: Int32) -> Double {
        let text = FileManager.default.contents(atPath: "/proc/\(process)/stat") ?? Data()
        let fields = String(decoding: text, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 13, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

/// Debian's tinyproxy, as another proxy in the same run.
struct Tinyproxy {
    let process: Process
    let port: Int

    static func start(_ directory: String, source: Source) async throws -> Tinyproxy? {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/tinyproxy") else { return nil }
        let port = 21_000 + Int(getpid()) % 9000
        let text = """
            Port \(port)
            Listen 127.0.0.1
            Timeout 600
            MaxClients 100
            Allow 127.0.0.1
            LogLevel Critical
            ConnectPort \(source.port)
            """
        try Data(text.utf8).write(to: URL(fileURLWithPath: directory + "/tinyproxy.conf"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/tinyproxy")
        process.arguments = ["-d", "-c", directory + "/tinyproxy.conf"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        try await eventually("tinyproxy listens") {
            do {
                try Source.read(1, port: port, target: "127.0.0.1:\(source.port)")
                return true
            } catch {
                return false
            }
        }
        return Tinyproxy(process: process, port: port)
    }
}
