/// The commands that the product uses, by name and with their arguments' types.
extension RedisCommand {
    /// The clock of the server: seconds and microseconds.
    package static var time: RedisCommand { RedisCommand("TIME") }

    /// One section of facts about the server, as lines `name:value`.
    package static func info(section: String) -> RedisCommand { RedisCommand("INFO", section) }

    /// Calls a function of a loaded library; its further arguments are appended.
    package static func functionCall(_ name: String, key: String, capacity: Int = 256) -> RedisCommand {
        var command = RedisCommand("FCALL", capacity: capacity)
        command.append(name)
        command.append(1)
        command.append(key)
        return command
    }

    /// Loads a library, replacing the one of its name.
    package static func functionLoad(source: String) -> RedisCommand {
        RedisCommand("FUNCTION", "LOAD", "REPLACE", source)
    }

    /// Appends an entry of one field to a stream under an id that the server makes.
    package static func streamAdd(_ key: String, field: String, value: [UInt8]) -> RedisCommand {
        var command = RedisCommand("XADD", key, "*", field)
        command.append(value)
        return command
    }

    /// Reads entries after the given ids, waiting at most `milliseconds` for the first.
    package static func streamRead(
        _ streams: [(key: String, after: String)], count: Int, waiting milliseconds: Int64
    ) -> RedisCommand {
        var command = RedisCommand("XREAD", "COUNT", String(count), "BLOCK", String(milliseconds), "STREAMS")
        for stream in streams { command.append(stream.key) }
        for stream in streams { command.append(stream.after) }
        return command
    }

    /// The newest entry of a stream.
    package static func streamLast(_ key: String) -> RedisCommand {
        RedisCommand("XREVRANGE", key, "+", "-", "COUNT", "1")
    }

    /// The value of a field of a hash; null when there is none.
    package static func hashGet(_ key: String, field: String) -> RedisCommand { RedisCommand("HGET", key, field) }

    /// Sets a field of a hash unless it exists; 1 when it did not.
    package static func hashSetIfAbsent(_ key: String, field: String, value: [UInt8]) -> RedisCommand {
        var command = RedisCommand("HSETNX", key, field)
        command.append(value)
        return command
    }

    /// Sets a key unless it exists.
    package static func setIfAbsent(_ key: String, value: [UInt8]) -> RedisCommand {
        var command = RedisCommand("SET", key)
        command.append(value)
        command.append("NX")
        return command
    }

    /// The value of a key; null when there is none.
    package static func get(_ key: String) -> RedisCommand { RedisCommand("GET", key) }

    /// Removes and returns the first element of a list, waiting at most `seconds` for one.
    package static func listPopFirst(_ key: [UInt8], waiting seconds: Int64) -> RedisCommand {
        var command = RedisCommand("BLPOP")
        command.append(key)
        command.append(seconds)
        return command
    }
}
