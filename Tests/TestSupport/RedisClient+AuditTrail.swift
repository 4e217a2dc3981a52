package import Redis

extension RedisClient {
    /// Returns the entries of all audit trails of the first lane as Redis gives them, in the order of their entry IDs.
    package func auditEntries() async throws -> [RESPValue] {
        var entries: [(time: (Int, Int), entry: RESPValue)] = []
        for key in try await self.auditTrails() {
            let reply = try await self.send(RedisCommand("XRANGE", key, "-", "+"), timeout: .seconds(20))
            for entry in reply.elements {
                let parts = (entry.elements.first?.string ?? "").split(separator: "-").compactMap { Int($0) }
                entries.append(((parts.first ?? 0, parts.last ?? 0), entry))
            }
        }
        return entries.sorted { $0.time < $1.time }.map(\.entry)
    }

    /// Returns the keys of all audit trails of the first lane.
    package func auditTrails() async throws -> [String] {
        let trails = try await self.send(RedisCommand("KEYS", "orc:{l0}:w:*:audit")).elements.compactMap(\.string)
        return trails.sorted() + ["orc:{l0}:audit"]
    }
}
