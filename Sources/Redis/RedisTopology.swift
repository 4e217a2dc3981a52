internal import Domain
package import NIOPosix

/// Finds the master that is to be asked now. Asked anew for every connection, so that a fail-over needs nothing but a
/// reconnect.
extension RedisConnection {
    /// Connects to the master that the configuration leads to: itself, the one that sentinels name, or the one that
    /// serves a cluster's slot. Throws as `open(_:group:)`; nothing stays open then.
    package static func connect(
        to configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup
    ) async throws -> RedisConnection {
        switch configuration.topology {
        case .single: return try await self.open(configuration, group: group)
        case .sentinel(_, let master):
            return try await self.first(of: configuration, group: group) { endpoint in
                try await self.connect(throughSentinel: endpoint, master, configuration, group)
            }
        case .cluster(_, let hashTag):
            return try await self.first(of: configuration, group: group) { endpoint in
                try await self.connect(throughNode: endpoint, slot: RedisSlot.of(hashTag), configuration, group)
            }
        }
    }

    /// Asks one after the other until one leads to a master; the first one's error when none does.
    private static func first(
        of configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup,
        _ connect: (RedisConfiguration.Endpoint) async throws -> RedisConnection
    ) async throws -> RedisConnection {
        var firstError: (any Error)?
        for endpoint in configuration.knownEndpoints {
            do {
                return try await connect(endpoint)
            } catch {
                try Task.checkCancellation()
                firstError = firstError ?? error
            }
        }
        throw firstError
            ?? RedisError(code: .configuration, message: "the Redis URL names nobody to ask for the master")
    }

    private static func connect(
        throughSentinel endpoint: RedisConfiguration.Endpoint, _ master: String,
        _ configuration: RedisConfiguration, _ group: MultiThreadedEventLoopGroup
    ) async throws -> RedisConnection {
        var asked = configuration.direct(to: endpoint)
        asked.database = 0
        asked.username = nil
        asked.password = configuration.sentinelPassword
        asked.isSentinel = true
        let answer = try await self.ask(asked, RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master), group)
        let parts = answer.elements
        guard parts.count == 2, let host = parts[0].string, let port = parts[1].integer else {
            throw RedisError(
                code: .unreachable,
                message:
                    "the sentinel at \(endpoint.text) knows no master '\(master)'; expected its name in the Redis URL")
        }
        let connection = try await self.open(configuration.direct(to: .tcp(host: host, port: port)), group: group)
        // A sentinel may not have heard yet: who is no master refuses writes, and must not be taken for one.
        do {
            let role = try await connection.send(RedisCommand("ROLE"), timeout: configuration.connectTimeout)
            guard role.elements.first?.string == "master" else {
                throw RedisError(code: .unreachable, message: "Redis at \(host):\(port) is no master (yet)")
            }
            return connection
        } catch {
            await connection.close()
            throw error
        }
    }

    private static func connect(
        throughNode endpoint: RedisConfiguration.Endpoint, slot: Int, _ configuration: RedisConfiguration,
        _ group: MultiThreadedEventLoopGroup
    ) async throws -> RedisConnection {
        let answer = try await self.ask(configuration.direct(to: endpoint), RedisCommand("CLUSTER", "SLOTS"), group)
        for range in answer.elements {
            let parts = range.elements
            guard parts.count >= 3, let first = parts[0].integer, let last = parts[1].integer,
                (first...max(first, last)).contains(slot)
            else { continue }
            let master = parts[2].elements
            guard master.count >= 2, let port = master[1].integer else { continue }
            // A node that does not know its own address leaves it out: it is the one that was asked.
            var host = master[0].string ?? ""
            if host.isEmpty, case .tcp(let name, _) = endpoint { host = name }
            return try await self.open(configuration.direct(to: .tcp(host: host, port: port)), group: group)
        }
        throw RedisError(
            code: .unreachable, message: "the cluster node at \(endpoint.text) knows nobody that serves slot \(slot)")
    }

    /// One question on a connection of its own.
    private static func ask(
        _ configuration: RedisConfiguration, _ command: RedisCommand, _ group: MultiThreadedEventLoopGroup
    ) async throws -> RESPValue {
        let connection = try await self.open(configuration, group: group)
        do {
            let answer = try await connection.send(command, timeout: configuration.connectTimeout)
            await connection.close()
            return answer
        } catch {
            await connection.close()
            throw error
        }
    }

    private func send(_ command: RedisCommand, timeout: Duration) async throws -> RESPValue {
        guard let reply = try await self.pipeline([command], timeout: timeout).first else {
            throw RedisError(code: .unexpectedReply, message: "Redis sent no reply")
        }
        return try reply.checked()
    }
}

/// The slots of a Redis Cluster.
package enum RedisSlot {
    /// The slot of a key, or of the part of it that decides: CRC-16/XMODEM modulo 16384
    /// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, appendix A).
    package static func of(_ hashTag: String) -> Int {
        var crc: UInt16 = 0
        for byte in hashTag.utf8 {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        }
        return Int(crc % 16384)
    }
}
