internal import Redis

extension RedisStreamJobQueue {
    /// How long a function library of another build is kept after its last use was noted.
    package static let libraryLife = Duration.seconds(86_400)

    /// Deletes the function libraries of other builds that no node has used for `libraryLife`, so that builds do not pile up
    /// in Redis and its replicas. To be called at least once a day by each node; it notes the use of its own library, too.
    /// Deleting one that a caller uses after all costs that caller a reload and nothing else. Returns the names of those
    /// deleted. Throws `JobQueueError`.
    package func deleteUnusedLibraries() async throws -> [String] {
        let now = try await self.time()
        let own = self.functions.library.name
        let marks = self.lane.key("libraries")
        _ = try await self.direct(.hashSet(marks, field: own, value: String(now)))
        var deleted: [String] = []
        let all = Self.libraryNames(try await self.direct(.functionList(libraries: "orchestra_*")))
        for name in all where name != own && !Self.otherLibraries.contains(where: name.hasPrefix) {
            // One that was not noted yet lives for a day from now.
            _ = try await self.direct(.hashSetIfAbsent(marks, field: name, value: Array(String(now).utf8)))
            let mark = try await self.direct(.hashGet(marks, field: name)).string.flatMap { UInt64($0) } ?? now
            guard mark < now, now - mark > UInt64(clamping: Self.libraryLife.milliseconds) else { continue }
            _ = try await self.direct(.functionDelete(name))
            _ = try await self.direct(.hashDelete(marks, field: name))
            deleted.append(name)
        }
        return deleted
    }

    /// Libraries of keys, limits and budgets, whose use is not noted. They are small, and few builds change them.
    private static let otherLibraries = ["orchestra_auth_", "orchestra_limit_", "orchestra_budget_"]

    /// The names in an answer to FUNCTION LIST: for each library a flat list of names and values.
    static func libraryNames(_ reply: RESPValue) -> [String] {
        reply.elements.compactMap { library in
            let parts = library.elements
            return parts.indices.first { parts[$0].string == "library_name" && $0 + 1 < parts.count }
                .flatMap { parts[$0 + 1].string }
        }
    }
}
