import Domain
import EgressServer
import Jobs
import Logging
import Subprocess
import Supervision
import SystemPackage

/// The egress server of a node as a supervised child: a process of its own, whose events go to the audit trail. When it
/// ends, connections in flight end; the shims hand their listeners to the next one.
struct EgressRunner: Sendable {
    /// The configuration for the server, without a newline.
    let configuration: [UInt8]
    /// Takes an event and returns the answer to the server; nil when the trail has not taken it.
    let append: @Sendable (JSONValue) async -> EgressAcknowledgement?
    let logger: Logger
    private let dropped = LogThrottle()

    private static let backoff = RestartBackoff(
        first: .milliseconds(100), longest: .seconds(10), resetAfter: .seconds(60))

    var child: ChildSpecification {
        ChildSpecification(id: "egress-server", shutdown: .timeout(.seconds(5)), backoff: Self.backoff) { child in
            try await self.run(ready: { child.ready() })
        }
    }

    /// Runs a server to its end, which is an error; `ready` is called once it serves.
    func run(ready: @escaping @Sendable () -> Void) async throws {
        var options = PlatformOptions()
        // A session of its own: ^C is for the node.
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(1))]
        let result = try await Subprocess.run(
            // This very program, also when its file was replaced.
            .path("/proc/self/exe"),
            arguments: ["egress-server"], environment: Self.environment, platformOptions: options,
            input: .inputWriter, output: .sequence, error: .sequence
        ) { execution in
            let input = execution.standardInputWriter
            _ = try await input.write(self.configuration + [UInt8(ascii: "\n")])
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    for try await line in execution.standardError.strings() {
                        self.logger.warning(
                            "the egress server reports", metadata: ["text": "\(Printable.text(line, limit: 400))"])
                    }
                }
                // Events of one job in their order, of several at the same time: Redis is asked several times for each.
                let lanes = (0..<Self.laneCount).map { _ in
                    AsyncStream.makeStream(
                        of: (Int64, JSONValue).self, bufferingPolicy: .bufferingOldest(Self.laneLimit))
                }
                // One task writes: answers of several at once could be mixed, and one has a credential.
                let (answers, answer) = AsyncStream.makeStream(
                    of: [UInt8].self, bufferingPolicy: .bufferingOldest(Self.laneCount * Self.laneLimit))
                tasks.addTask { for await line in answers { _ = try await input.write(line) } }
                tasks.addTask {
                    defer { answer.finish() }
                    await withDiscardingTaskGroup { group in
                        for lane in lanes {
                            group.addTask {
                                for await (number, event) in lane.stream {
                                    guard let words = await self.append(event) else { continue }
                                    answer.yield(Array("\(number)".utf8) + words.encoded + [UInt8(ascii: "\n")])
                                }
                            }
                        }
                    }
                }
                defer { for lane in lanes { lane.continuation.finish() } }
                var splitter = LineSplitter(limit: Self.lineLimit)
                for try await buffer in execution.standardOutput {
                    let bytes = unsafe buffer.withUnsafeBytes { unsafe Array($0) }
                    for line in splitter.take(bytes) {
                        guard let message = self.message(line) else { continue }
                        if message["ready"] == .bool(true) { ready() }
                        guard let number = message["n"]?.integer, let event = message["event"] else { continue }
                        self.noteDrop(lanes[Self.lane(of: event)].continuation.yield((number, event)))
                    }
                }
                for lane in lanes { lane.continuation.finish() }
                try await tasks.waitForAll()
            }
        }
        try Task.checkCancellation()
        throw CommandError(.unavailable, "the egress server ended (\(result.terminationStatus))")
    }

    /// The server gives an event up after some seconds and sends others, so that the trail's outage could fill any queue. An
    /// event that has no room costs its request; a reservation whose end has none is spent in full when its lease ends.
    private func noteDrop(_ result: AsyncStream<(Int64, JSONValue)>.Continuation.YieldResult) {
        guard case .dropped = result, let count = self.dropped.note(at: Host.wallMilliseconds()) else { return }
        self.logger.warning(
            "events of the egress server are not taken: too many wait for the audit trail",
            metadata: ["events.count": "\(count)"])
    }

    private static let laneCount = 16
    /// Events that wait in a lane: 4,096 in all, which is what the server has under way at most.
    private static let laneLimit = 256

    private static func lane(of event: JSONValue) -> Int {
        (event["job"]?.string ?? "").utf8.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xffff } % self.laneCount
    }

    /// More than any event: its texts are bounded.
    private static let lineLimit = 256 * 1024

    /// What the server says in one line. One that cannot be read costs its request, which gets no answer, and nothing else.
    private func message(_ line: [UInt8]?) -> JSONValue? {
        do throws(DomainError) {
            guard let line else { throw DomainError.invalidValue("a line is longer than \(Self.lineLimit) bytes") }
            return try JSONParser.parse(line)
        } catch {
            self.logger.error("an event of the egress server cannot be read", metadata: ["reason": "\(error)"])
            return nil
        }
    }

    /// Nothing of the node's. Names are not completed by the search list of the host, which would be another name.
    private static var environment: Subprocess.Environment {
        .custom([
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LOCALDOMAIN": "", "RES_OPTIONS": "timeout:1 attempts:2",
            "SWIFT_BACKTRACE": "enable=no",
        ])
    }
}
