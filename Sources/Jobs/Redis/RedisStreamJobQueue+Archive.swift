package import Domain
internal import Redis

/// Archiving.
extension RedisStreamJobQueue {
    /// Renews the lease under which this node archives the lane, for `limits.lease`; notes how far trails are archived, and
    /// reads at most `most` entries of `trails` that are not. All of it is one atomic step, which does nothing while another
    /// node holds the lease. Throws `JobQueueError`: `failed` when the reply is malformed.
    package func archive(
        _ trails: [String], noting notes: [TrailBatch.Note], most: Int, as node: NodeIdentity
    ) async throws -> TrailBatch {
        var call = self.archiveCall(as: node, term: self.limits.lease.milliseconds, most: most, noting: notes)
        for trail in trails { call.append(trail) }
        return try Self.batch(try await self.send(call))
    }

    /// Notes how far trails are archived and gives up the lease, so that another node archives at once. Throws as
    /// `archive`.
    package func leaveArchive(noting notes: [TrailBatch.Note], as node: NodeIdentity) async throws {
        _ = try await self.send(self.archiveCall(as: node, term: 0, most: 0, noting: notes))
    }

    private func archiveCall(
        as node: NodeIdentity, term: Int64, most: Int, noting notes: [TrailBatch.Note]
    ) -> RedisCommand {
        var call = self.call("archive", capacity: 4096)
        call.append("\(node.node.name)/\(node.owner)")
        call.append(String(node.incarnation.value))
        call.append(term)
        call.append(most)
        call.append(notes.count)
        for note in notes {
            call.append(note.trail)
            call.append(note.id)
            call.append(note.count)
        }
        return call
    }

    private static func batch(_ reply: RESPValue) throws -> TrailBatch {
        let parts = reply.elements
        guard parts.count >= 4, let other = parts[0].string, let written = parts[1].integer,
            let archived = parts[2].integer, let next = parts[3].integer
        else { throw self.unexpected("archive") }
        return TrailBatch(
            other: other.isEmpty ? nil : other, written: written, archived: archived, next: next > 0 ? next - 1 : nil,
            entries: try parts.dropFirst(4).map { value in
                let entry = value.elements
                guard entry.count == 3, let trail = entry[0].string, let id = entry[1].string else {
                    throw self.unexpected("archive")
                }
                return TrailBatch.Entry(trail: trail, id: id, events: entry[2].elements.map { Array($0.bytes) })
            })
    }

    /// Returns the workspaces of the lane that have jobs or had some lately. Throws `JobQueueError`.
    package func workspacesWithJobs() async throws -> [WorkspaceID] {
        try await self.direct(RedisCommand("ZRANGE", self.lane.key("workspaces"), "0", "-1")).elements
            .compactMap { $0.string.flatMap { WorkspaceID(ifValid: $0) } }
    }

    /// Looks for audit trails among the keys of Redis, a part at a time: a workspace may have a trail and no job. Begins with
    /// cursor 0 and has seen all when it returns cursor 0. Throws `JobQueueError`.
    package func scanTrails(_ cursor: String) async throws -> (cursor: String, trails: [WorkspaceID]) {
        let start = self.lane.key("w:")
        let reply = try await self.direct(
            RedisCommand("SCAN", cursor, "MATCH", start + "*:audit", "COUNT", "1000", "TYPE", "stream")
        ).elements
        guard reply.count == 2, let next = reply[0].string else { throw Self.unexpected("SCAN") }
        return (
            next,
            reply[1].elements.compactMap { key in
                key.string.flatMap { WorkspaceID(ifValid: String($0.dropFirst(start.count).dropLast(":audit".count))) }
            }
        )
    }
}
