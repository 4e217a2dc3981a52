import Domain
import ScriptedModel
import ShimProtocol
import Testing

@testable import orchestra

@Suite("The report of a check of an agent")
struct AgentCheckReportTests {
    private static func definition(
        _ verification: AgentVerification = .unstated, probe: [String] = ["--version"], screen: [ScreenRule] = []
    ) throws -> AgentDefinition {
        AgentDefinition(
            name: try DefinitionName("tried"), summary: "x", argv: ["/bin/true"], environment: [:],
            sandbox: try DefinitionName("default"), closing: [], restartIntensity: 0, restartPeriod: .seconds(1),
            screen: screen, probe: probe, verification: verification)
    }

    private static func call(_ status: Int, key: Bool = true, _ text: String = "") -> ScriptedCall {
        ScriptedCall(
            method: "POST", path: "/v1/messages", status: status, hasRightKey: key, model: "m", step: .text,
            userTexts: [text])
    }

    private static func run(
        _ code: Int32?, by endedBy: ExitRecord.EndedBy = .itself, calls: [ScriptedCall] = [], output: String = ""
    ) -> AgentCheckRun {
        AgentCheckRun(
            record: code.map { ExitRecord(endedBy: endedBy, code: $0, signal: 0) }, calls: calls,
            output: Array(output.utf8), screens: [], problem: nil)
    }

    private func judged(_ body: (inout AgentCheckReport) throws -> Void) throws -> [AgentCheckReport.Result] {
        var report = AgentCheckReport(agent: try DefinitionName("tried"))
        try body(&report)
        return report.fields.map(\.result)
    }

    @Test("a version counts when it is one that the definition was verified with")
    func probe() throws {
        let version = try #require(ProgramVersion("1.2.0"))
        let verified = AgentVerification.verified(version...version)
        func result(_ verification: AgentVerification, _ output: String?) throws -> AgentCheckReport.Result? {
            try self.judged {
                $0.judgeProbe(try Self.definition(verification), output: output, problem: "none")
            }.first
        }
        #expect(try result(verified, "tool 1.2.0 (x)") == .held)
        #expect(try result(verified, "tool 1.3.0") == .notHeld)
        #expect(try result(.unverified, "tool 1.3.0") == .held)
        #expect(try result(.unstated, "no version") == .notHeld)
        #expect(try result(verified, nil) == .notHeld)
        #expect(
            try self.judged { $0.judgeProbe(try Self.definition(probe: []), output: nil, problem: nil) } == [.notTried])
    }

    @Test("a prompt is delivered when the model received it, and a model counts when it answered")
    func first() throws {
        let definition = try Self.definition()
        let good = Self.run(0, calls: [Self.call(200, "say x1")])
        #expect(
            try self.judged { $0.judgeFirst(good, definition, mark: "x1", hasModel: true) } == [
                .held, .notTried, .held, .held,
            ])
        let other = Self.run(0, calls: [Self.call(404, "say x2")])
        #expect(
            try self.judged { $0.judgeFirst(other, definition, mark: "x1", hasModel: true) } == [
                .held, .notTried, .notHeld, .notHeld,
            ])
        let silent = Self.run(nil)
        #expect(
            try self.judged { $0.judgeFirst(silent, definition, mark: "x1", hasModel: true) } == [
                .notHeld, .notTried, .notHeld, .notHeld,
            ])
        let typed = Self.run(0, output: "$ true x1")
        #expect(
            try self.judged { $0.judgeFirst(typed, definition, mark: "x1", hasModel: false) } == [
                .held, .notTried, .held, .notTried,
            ])
    }

    @Test("one call and a failure after a spent budget; more calls, a success or no call do not count")
    func budget() throws {
        func result(_ code: Int32, _ count: Int) throws -> AgentCheckReport.Result? {
            try self.judged {
                $0.judgeBudget(Self.run(code, calls: Array(repeating: Self.call(402), count: count)))
            }.first
        }
        #expect(try result(1, 1) == .held)
        #expect(try result(1, 6) == .notHeld)
        #expect(try result(0, 1) == .notHeld)
        #expect(try result(1, 0) == .notHeld)
    }

    @Test("a stop counts when it ended the program in the middle of a call")
    func stop() throws {
        #expect(try self.judged { $0.judgeStop(Self.run(137, by: .stop, calls: [Self.call(200)])) } == [.held])
        #expect(try self.judged { $0.judgeStop(Self.run(0, calls: [Self.call(200)])) } == [.notHeld])
        #expect(try self.judged { $0.judgeStop(Self.run(1)) } == [.notTried])
    }

    @Test("a key that was seen inside, or a call with another one, does not hold")
    func credential() throws {
        let good = Self.run(0, calls: [Self.call(200)])
        let bad = Self.run(0, calls: [Self.call(401, key: false)])
        #expect(try self.judged { $0.judgeCredential(good, hasModel: true, isShown: false) } == [.held])
        #expect(try self.judged { $0.judgeCredential(good, hasModel: true, isShown: true) } == [.notHeld])
        #expect(try self.judged { $0.judgeCredential(bad, hasModel: true, isShown: false) } == [.notHeld])
    }

    @Test("what was refused is named and holds; what was reached does not")
    func network() throws {
        #expect(try self.judged { $0.judgeNetwork(reached: [], refused: ["a.test"], hasModel: true) } == [.held])
        #expect(try self.judged { $0.judgeNetwork(reached: ["a.test"], refused: [], hasModel: true) } == [.notHeld])
    }

    @Test("a throttled agent went on when its last call was answered and it succeeded")
    func throttle() throws {
        let calls = [Self.call(429), Self.call(200)]
        #expect(try self.judged { $0.judgeThrottle(Self.run(0, calls: calls)) } == [.held])
        #expect(try self.judged { $0.judgeThrottle(Self.run(1, calls: [calls[0]])) } == [.notHeld])
        #expect(try self.judged { $0.judgeThrottle(Self.run(0, calls: [calls[1]])) } == [.notHeld])
    }

    @Test("the report has one line a field with its result, one object for programs, and holds unless a field does not")
    func forms() throws {
        var report = AgentCheckReport(agent: try DefinitionName("tried"))
        report.add(.probe, true, "1.2.0")
        report.add(.resume, nil, "none\u{1b}[31m")
        #expect(report.holds)
        #expect(report.lines.first == "probe       held       1.2.0")
        #expect(report.lines.last?.hasPrefix("resume      not tried  none") == true)
        #expect(report.lines.last?.contains("\u{1b}") == false)
        report.add(.edit, false, "x")
        #expect(!report.holds)
        #expect(
            report.json.text.hasPrefix(
                #"{"agent":"tried","held":false,"fields":[{"field":"probe","result":"held","detail":"1.2.0"}"#))
    }
}
