internal import Audit
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Jobs
internal import NIOCore

extension Endpoint {
    static let files = [
        Endpoint(
            method: .get, path: "/ai/workspaces/{workspace}/files",
            summary: "Files of the workspace as a tar archive. One that is not whole ends with the connection.",
            parameters: [
                Parameter(
                    name: "path", text: "A path in the workspace; everything without it.",
                    schema: Schema.string(1...1024))
            ],
            answers: [Answer(status: 200, text: "The archive.", type: Self.archiveType)], problems: [404, 502],
            isForwarded: true, handler: .guarded(.getFiles, Self.getFiles)),
        Endpoint(
            method: .put, path: "/ai/workspaces/{workspace}/files",
            summary: "Puts the files of a tar archive into the workspace, all or none.", streamsBody: true,
            answers: [
                Answer(
                    status: 200, text: "They are in place.",
                    schema: Schema.object(["bytes": Schema.count, "entries": Schema.count]))
            ], problems: [404, 408, 413, 415, 502], isForwarded: true, handler: .guarded(.putFiles, Self.putFiles)),
    ]

    private static func getFiles(_ call: Call) async throws -> Response {
        let paths = try call.query(["path"])["path"].map { [$0] } ?? []
        try call.requireOwnWorkspace()
        _ = try await call.hasHomeHere()
        let files = call.services.workspaceFiles
        guard try await files.has(call.workspace) else {
            throw Problem(
                .notFound, "the workspace has no files yet: none of its jobs has run, and nothing was put there")
        }
        let request = call.filesRequest
        let feed = ArchiveFeed(
            on: call.context.channel, place: try call.transferPlace(),
            guardian: StreamGuardian(services: call.services, principal: call.principal)
        ) { sink in
            try await files.get(paths, for: request, into: sink)
        }
        return try await feed.response()
    }

    private static func putFiles(_ call: Call) async throws -> Response {
        try call.requireOwnWorkspace()
        let type = call.request.headers[.contentType] ?? ""
        guard type.lowercased() == Self.archiveType, call.request.headers[.contentEncoding] == nil else {
            throw Problem(.unsupportedType, "the body must be \(Self.archiveType), not compressed")
        }
        guard let body = call.context.incoming else {
            throw Problem(.failed, "the archive cannot be read: its connection is gone")
        }
        guard !HTTPConversation.exceeds(body.limit, call.request.headers[.contentLength]) else {
            throw Problem.tooLarge(body.limit)
        }
        let hasHome = try await call.hasHomeHere()
        let place = try call.transferPlace()
        defer { withExtendedLifetime(place) {} }
        let moved = try await call.whileCredentialHolds {
            try await call.services.workspaceFiles.put(
                for: call.filesRequest,
                admitted: { if !hasHome { try await call.becomeHome() } },
                from: { try await body.next().map { Array($0.readableBytesView) } ?? [] })
        }
        return .json(["bytes": .integer(Int64(moved.bytes)), "entries": .integer(Int64(moved.entries))])
    }
}

extension Call {
    fileprivate var filesRequest: FilesRequest {
        let facts = self.record.facts
        return FilesRequest(
            workspace: self.workspace, actor: self.principal.actor, rule: facts.rule, requestID: self.record.id,
            address: facts.address)
    }

    /// Throws a `Problem` unless the path names the credential's workspace.
    fileprivate func requireOwnWorkspace() throws {
        guard self.context.parameters.get("workspace") == self.workspace.name else {
            throw Problem(.notFound, "there is no such workspace here; expected the one of the credential")
        }
    }

    /// Whether this node is the workspace's home, false when it has none yet. Throws `OtherNode` when another node has its
    /// files.
    fileprivate func hasHomeHere() async throws -> Bool {
        guard !self.services.workspaceFiles.areShared else { return true }
        let homes = try await self.services.store.homes()
        guard let home = homes.first(where: { $0.workspace == self.workspace.name }) else { return false }
        guard home.node == self.services.node else { throw OtherNode(home.node, has: .files) }
        return home.isHome
    }

    /// Makes this node the home of the workspace, so that its jobs see the files that are put here.
    fileprivate func becomeHome() async throws {
        var event = AuditEvent(
            kind: .homeChanged, workspace: self.workspace, actor: self.principal.actor, action: "", jobID: nil,
            status: "set", rule: self.record.facts.rule, duration: .zero, errorReason: self.services.node,
            paramsDigest: [], node: self.services.node, time: self.services.now())
        event.requestID = self.record.id
        event.address = self.record.facts.address
        _ = try await self.services.store.setHome(
            try NodeID(self.services.node), of: self.workspace, auditEvent: event.encoded)
    }

    /// A place for a transfer; throws a `Problem` when there is none.
    func transferPlace() throws -> StreamTicket {
        guard let place = self.services.transfers.enter(self.workspace) else {
            throw Problem(
                .rateLimited, "files of this workspace, or of too many others, are moved now; try again in a moment",
                rule: "transfers", headers: [(.retryAfter, "5")])
        }
        return place
    }

    /// Runs the body; closes the connection, which ends it, when the credential is no longer valid.
    func whileCredentialHolds<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let guardian = StreamGuardian(services: self.services, principal: self.principal)
        let channel = self.context.channel
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { if await guardian.ended() { channel.close(promise: nil) } }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}
