/// The commands that the product uses, by name and with their arguments' types.
extension RedisCommand {
    /// The server's clock: seconds and microseconds.
    package static var time: RedisCommand { RedisCommand("TIME") }

    /// Facts of the server of one section, as lines `name:value`.
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

    /// Appends an entry of one field to a stream under an id of the server's.
    package static func streamAdd(_ key: String, field: String, value: [UInt8]) -> RedisCommand {
        var command = RedisCommand("XADD", key, "*", field)
        command.append(value)
        return command
    }

    /// Reads entries behind `id`, waiting at most `milliseconds` for one.
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

    /// The value of a hash's field, null when there is none.
    package static func hashGet(_ key: String, field: String) -> RedisCommand { RedisCommand("HGET", key, field) }

    /// Sets a hash's field unless it is set; 1 when it was not.
    package static func hashSetIfAbsent(_ key: String, field: String, value: [UInt8]) -> RedisCommand {
        var command = RedisCommand("HSETNX", key, field)
        command.append(value)
        return command
    }

    /// Sets a key unless it is set.
    package static func setIfAbsent(_ key: String, value: [UInt8]) -> RedisCommand {
        var command = RedisCommand("SET", key)
        command.append(value)
        command.append("NX")
        return command
    }

    package static func get(_ key: String) -> RedisCommand { RedisCommand("GET", key) }

    /// Takes the first element of a list, waiting at most `seconds` for one.
    package static func listPopFirst(_ key: [UInt8], waiting seconds: Int64) -> RedisCommand {
        var command = RedisCommand("BLPOP")
        command.append(key)
        command.append(seconds)
        return command
    }
}
