internal import Domain
package import NIOPosix

/// Finds the current master, again for every connection, so that a fail-over needs nothing but a reconnect.
extension RedisConnection {
    /// Connects to the master that the configuration leads to: the endpoint, the master that sentinels name, or the one
    /// that serves the slot in a cluster. Throws as `open(_:group:)`; nothing stays open then.
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

    /// Tries the endpoints in order until one leads to a master; throws the error of the first when none does.
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
            ?? RedisError(code: .configuration, message: "the Redis URL has no endpoint; expected at least one host")
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
        guard let address = RedisConfiguration.Endpoint(sentinelAnswer: answer) else {
            throw RedisError(
                code: .unreachable,
                message:
                    "the sentinel at \(endpoint.text) knows no master '\(master)'; expected its name in the Redis URL")
        }
        let connection = try await self.open(configuration.direct(to: address), group: group)
        // During a fail-over a sentinel may still name the old master; a replica refuses writes.
        do {
            let role = try await connection.send(RedisCommand("ROLE"), timeout: configuration.connectTimeout)
            guard role.elements.first?.string == "master" else {
                throw RedisError(code: .unreachable, message: "Redis at \(address.text) is not a master yet")
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
        guard let address = RedisConfiguration.Endpoint(clusterSlots: answer, slot: slot, asked: endpoint) else {
            throw RedisError(
                code: .unreachable, message: "the cluster node at \(endpoint.text) knows no master for slot \(slot)")
        }
        return try await self.open(configuration.direct(to: address), group: group)
    }

    /// Sends one command on a connection of its own.
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

extension RedisConfiguration.Endpoint {
    /// The answer of `SENTINEL GET-MASTER-ADDR-BY-NAME`; nil when the sentinel does not know the name.
    init?(sentinelAnswer answer: RESPValue) {
        let parts = answer.elements
        guard parts.count == 2, let host = parts[0].string, let port = parts[1].integer else { return nil }
        self = .tcp(host: host, port: port)
    }

    /// The master of a slot in the answer of `CLUSTER SLOTS`; nil when no node serves it.
    init?(clusterSlots answer: RESPValue, slot: Int, asked: RedisConfiguration.Endpoint) {
        for range in answer.elements {
            let parts = range.elements
            guard parts.count >= 3, let first = parts[0].integer, let last = parts[1].integer, first <= slot,
                slot <= last
            else { continue }
            let master = parts[2].elements
            guard master.count >= 2, let port = master[1].integer else { continue }
            // A node that does not know its own address leaves it out: it is the one that was asked.
            var host = master[0].string ?? ""
            if host.isEmpty, case .tcp(let name, _) = asked { host = name }
            self = .tcp(host: host, port: port)
            return
        }
        return nil
    }
}
