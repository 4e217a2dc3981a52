import ConformanceSupport
import Domain
import Foundation
import Testing

/// Scenarios that were recorded from Erlang/OTP 25's own `supervisor` by `Recordings/record.escript`, where it
/// says how; each is played on ours and must give the same results, events and final state.
@Suite("Traces recorded from OTP")
struct RecordedTraceTests {
    @Test("every random scenario goes as on OTP")
    func mixed() async throws { try await self.compare("mixed.jsonl", countsSleepsOnly: false) }

    @Test("the restart window is OTP's, to the second")
    func window() async throws { try await self.compare("window.jsonl", countsSleepsOnly: true) }

    private func compare(_ file: String, countsSleepsOnly: Bool) async throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Recordings/\(file)")
        let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n")
        try #require(lines.count >= 50)
        let vectors = try lines.map { try JSONParser.parse(Array($0.utf8)) }
        // Most of them only sleep most of the time.
        let traces = try await mapConcurrently(vectors, width: 64) { vector in
            try await SupervisorScenario(
                SupervisorVector(vector), countsSleepsOnly: countsSleepsOnly, extendsShutdownTimes: true
            )
            .play()
        }
        for (expected, actual) in zip(vectors, traces) {
            let isOrdered = expected["flags"]?.array?.contains("stop_order_undefined") != true
            let difference = Self.difference(expected, actual, isOrdered: isOrdered)
            #expect(difference == nil, "\(expected["name"]?.string ?? "")")
        }
    }

    /// The first step that differs, or the final state; nil when all is the same.
    private static func difference(_ expected: JSONValue, _ actual: JSONValue, isOrdered: Bool) -> String? {
        let steps = zip(expected["trace"]?.array ?? [], actual["trace"]?.array ?? [])
        for (left, right) in steps {
            let (before, after) = (Self.events(left, isOrdered), Self.events(right, isOrdered))
            guard left["result"] == right["result"], before == after else {
                return "\(left["op"]?.text ?? ""): expected \(left.text), got \(right.text)"
            }
        }
        guard expected["final"] == actual["final"] else {
            return "at the end: expected \(expected["final"]?.text ?? ""), got \(actual["final"]?.text ?? "")"
        }
        return nil
    }

    private static func events(_ step: JSONValue, _ isOrdered: Bool) -> [String] {
        let events = (step["events"]?.array ?? []).map(\.text)
        return isOrdered ? events : events.sorted()
    }
}
