import CoreMetrics
import Domain
import Testing

@testable import API

@Suite("StreamPlaces")
struct StreamPlacesTests {
    private let workspace: WorkspaceID
    private let agent: JobID
    private let other: JobID

    init() throws {
        self.workspace = try WorkspaceID("acme")
        self.agent = try JobID("01a2031b-2da8-7413-a651-8bdcdcbfbb1c")
        self.other = try JobID("01a2031b-2da8-7413-a651-8bdcdcbfbb1d")
    }

    private static func places(agent: Int = 4, workspace: Int = 6) -> StreamPlaces {
        StreamPlaces(
            workspace: StreamPlaces.Limits(streams: workspace, messages: 4),
            agent: StreamPlaces.Limits(streams: agent, messages: 2))
    }

    @Test("clients that only watch take half of an agent's places at most, so that a developer finds one")
    func watching() {
        var places = Self.places()
        let taken = (0..<9).filter { _ in places.enter(.watching, self.workspace, self.agent) }.count
        #expect(taken == 2)
        #expect(places.enter(.operating, self.workspace, self.agent) == true)
    }

    @Test("clients that only watch take half of a workspace's places at most")
    func watchingWorkspace() {
        var places = Self.places(agent: 4, workspace: 6)
        let taken = [self.agent, self.other].map { agent in
            (0..<9).filter { _ in places.enter(.watching, self.workspace, agent) }.count
        }
        #expect(taken == [2, 1])
        #expect(places.enter(.operating, self.workspace, self.other) == true)
    }

    @Test("all streams of an agent together are bounded")
    func operating() {
        var places = Self.places()
        #expect((0..<9).filter { _ in places.enter(.operating, self.workspace, self.agent) }.count == 4)
        #expect(places.enter(.watching, self.workspace, self.agent) == false)
        #expect(places.streams == 4)
    }

    @Test("messages and streams do not take each other's places")
    func messages() {
        var places = Self.places()
        while places.enter(.operating, self.workspace, self.agent) {}
        #expect(places.enter(.message, self.workspace, self.agent) == true)
        #expect(places.enter(.message, self.workspace, self.agent) == true)
        #expect(places.enter(.message, self.workspace, self.agent) == false)
        #expect(places.enter(.message, self.workspace, self.other) == true)
        #expect(places.streams == 4)
    }

    @Test("a place that is given back can be taken again", arguments: StreamPlaces.Kind.allCases)
    func leaves(kind: StreamPlaces.Kind) {
        var places = Self.places()
        while places.enter(kind, self.workspace, self.agent) {}
        places.leave(kind, self.workspace, self.agent)
        #expect(places.enter(kind, self.workspace, self.agent) == true)
        #expect(places.enter(kind, self.workspace, self.agent) == false)
    }

    @Test("an agent with one place can be watched")
    func one() {
        var places = Self.places(agent: 1)
        #expect(places.enter(.watching, self.workspace, self.agent) == true)
        #expect(places.enter(.operating, self.workspace, self.agent) == false)
    }

    @Test("another workspace's streams take no places")
    func workspaces() throws {
        var places = Self.places(agent: 9, workspace: 2)
        while places.enter(.operating, self.workspace, self.agent) {}
        #expect(places.enter(.operating, try WorkspaceID("other"), self.other) == true)
    }
}

@Suite("StreamTicket")
struct StreamTicketTests {
    @Test("a ticket gives its place back when the last holder lets go of it")
    func release() throws {
        let quota = StreamQuota(limit: 9, agentLimit: 1, metrics: NOOPMetricsHandler.instance)
        let workspace = try WorkspaceID("acme")
        let agent = try JobID("01a2031b-2da8-7413-a651-8bdcdcbfbb1c")
        var ticket = quota.enter(.operating, workspace, agent)
        #expect(ticket != nil)
        #expect(quota.enter(.operating, workspace, agent) == nil)
        ticket = nil
        #expect(quota.enter(.operating, workspace, agent) != nil)
    }
}
