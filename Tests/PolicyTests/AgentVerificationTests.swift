import Domain
import Policy
import Testing

@Suite("Whether agents were tried")
struct AgentVerificationTests {
    private static func bundle(_ members: String) throws -> PolicyBundle {
        let text = #"{"name":"new","summary":"x","argv":["/usr/bin/new"]\#(members)}"#
        return try PolicyBundle(
            files: try PolicyTests.shipped() + [PolicyFile(folder: "agents", name: "new.json", bytes: Array(text.utf8))]
        )
    }

    @Test("a definition says false, names the versions it was tried with, or says nothing")
    func forms() throws {
        let name = try DefinitionName("new")
        #expect(try Self.bundle("").agents[name]?.verification == .unstated)
        #expect(try Self.bundle(#","verified":false"#).agents[name]?.verification == .unverified)
        let (from, to) = (try #require(ProgramVersion("1.9")), try #require(ProgramVersion("1.10")))
        #expect(
            try Self.bundle(#","verified":{"from":"1.9","to":"1.10"}"#).agents[name]?.verification
                == .verified(from...to))
        #expect(try Self.bundle(#","probe":["-V"]"#).agents[name]?.probe == ["-V"])
    }

    @Test(
        "anything else is an error that names the file and the field",
        arguments: ["true", "1", #"{"from":"2.0","to":"1.0"}"#, #"{"from":"2","to":"3"}"#, #"{"from":"1.0"}"#])
    func wrong(_ value: String) throws {
        let error = #expect(throws: PolicyError.self) { try Self.bundle(#","verified":\#(value)"#) }
        #expect(error?.message.contains("agents/new.json") == true, "\(error?.message ?? "")")
    }

    private static func denial(_ agent: String, allowed: String) throws -> Denial? {
        let engine = PolicyEngine(
            bundle: try PolicyBundle(files: try PolicyTests.shipped()), allowed: try AllowList(allowed))
        let params = #"{"agent":"\#(agent)","prompt":"x"}"#
        guard case .deny(let denial) = engine.decide(try ActionName("agent.run"), params: Array(params.utf8)).decision
        else { return nil }
        return denial
    }

    @Test(
        "of the shipped agents those that nobody has run are marked, and the list of `orchestra dev` allows none of them"
    )
    func shipped() throws {
        let agents = try PolicyBundle(files: try PolicyTests.shipped()).agents.values
        let unverified = agents.filter { $0.verification == .unverified }.map(\.name.name)
        #expect(Set(unverified) == ["copilot", "gemini", "goose", "opencode"])
        for agent in agents {
            let denial = try Self.denial(agent.name.name, allowed: "shell.run,agent.run,queue.noop")
            #expect(denial?.rule == (agent.verification == .unverified ? "verified" : nil))
        }
    }

    @Test("an unverified agent runs once the allow-list names it, and only together with its action")
    func allowed() throws {
        #expect(try Self.denial("gemini", allowed: "agent.run,agent.run.gemini") == nil)
        #expect(try Self.denial("gemini", allowed: "agent.run,agent.run.goose")?.rule == "verified")
        #expect(try Self.denial("gemini", allowed: "agent.run.gemini")?.rule == "allow-list")
        #expect(try Self.denial("gemini", allowed: "agent.run")?.reason.contains("agent.run.gemini") == true)
    }
}
