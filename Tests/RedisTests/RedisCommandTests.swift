import NIOCore
import Testing

@testable import Redis

@Suite("The Redis command")
struct RedisCommandTests {
    private func words(_ command: RedisCommand) throws -> [String] {
        let bytes = RedisCommand.encode([command], allocator: ByteBufferAllocator())
        return try value(String(buffer: bytes)).elements.compactMap(\.string)
    }

    @Test("each argument is a bulk string with its length, whatever it contains")
    func encoding() throws {
        #expect(try self.words(RedisCommand("SET", "k\r\n$1", "")) == ["SET", "k\r\n$1", ""])
    }

    @Test("numbers are written in decimal")
    func numbers() throws {
        var command = RedisCommand("X")
        command.append(-12)
        command.append(Int64.min)
        command.append(UInt64.max)
        #expect(try self.words(command) == ["X", "-12", "-9223372036854775808", "18446744073709551615"])
    }

    @Test("lengths of several digits are written whole")
    func lengths() throws {
        let text = String(repeating: "x", count: 1234)
        #expect(try self.words(RedisCommand("ECHO", text)) == ["ECHO", text])
    }

    @Test("a slice is written without the bytes around it")
    func slices() throws {
        var command = RedisCommand("X")
        command.append(Array("abcdef".utf8)[2..<4])
        #expect(try self.words(command) == ["X", "cd"])
    }

    @Test("a function call names the function, one key, and then its arguments")
    func functionCall() throws {
        var call = RedisCommand.functionCall("f", key: "k")
        call.append("a")
        #expect(try self.words(call) == ["FCALL", "f", "1", "k", "a"])
    }

    @Test("a read of several streams lists all keys before all ids")
    func streams() throws {
        let read = RedisCommand.streamRead([("a", "1-0"), ("b", "$")], count: 9, waiting: 50)
        #expect(
            try self.words(read) == ["XREAD", "COUNT", "9", "BLOCK", "50", "STREAMS", "a", "b", "1-0", "$"])
    }

    @Test("a function library begins with the name that it is loaded under")
    func library() {
        let library = RedisFunctionLibrary(name: "lib_1", source: "return 1")
        #expect(library.source == "#!lua name=lib_1\nreturn 1")
    }
}
