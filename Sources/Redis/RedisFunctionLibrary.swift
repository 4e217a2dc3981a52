/// A library of server-side functions; it is loaded when a call finds that it is missing.
///
/// The names of the library and of its functions carry a version, so that nodes of two releases can
/// share one Redis while they are replaced.
package struct RedisFunctionLibrary: Sendable {
    package let name: String
    package let source: String

    /// `source` is Lua without the `#!` line.
    package init(name: String, source: String) {
        self.name = name
        self.source = "#!lua name=\(name)\n" + source
    }

    /// A digest of a library's text to put into its names: two builds with different texts then never share a name. It
    /// distinguishes builds and protects nothing (FNV-1a in hexadecimal).
    package static func digest(of text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }

    /// Loads the library, replacing one of the same name. Throws as `RedisClient.send`.
    package func load(into client: RedisClient) async throws {
        _ = try await client.send(.functionLoad(source: self.source))
    }

    /// Sends function calls in one pipeline. When the library is missing, because Redis was emptied or replaced, no call
    /// had an effect: the library is loaded and the calls are sent again. Throws as `RedisClient.pipeline`.
    package func call(_ calls: [RedisCommand], on client: RedisClient, timeout: Duration? = nil) async throws
        -> [RESPReply]
    {
        let replies = try await client.pipeline(calls, timeout: timeout)
        let missing = replies.allSatisfy { $0.error?.isFunctionMissing == true }
        guard missing, !calls.isEmpty else { return replies }
        try await self.load(into: client)
        return try await client.pipeline(calls, timeout: timeout)
    }
}
