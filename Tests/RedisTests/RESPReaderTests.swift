import NIOCore
import Redis
import Testing

@Suite("The RESP reader")
struct RESPReaderTests {
    static let replies: [String] = [
        "+OK\r\n", "-ERR no\r\n", ":42\r\n", ":-7\r\n", "$5\r\nhello\r\n", "$0\r\n\r\n", "$-1\r\n", "*0\r\n", "*-1\r\n",
        "*2\r\n$1\r\na\r\n:1\r\n", "*3\r\n*1\r\n+x\r\n$-1\r\n*2\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n",
        "*2\r\n*2\r\n$3\r\nkey\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n$4\r\n\u{0}\u{1}\u{2}\u{3}\r\n:9\r\n",
    ]

    private func parse(_ chunks: [[UInt8]]) throws -> [RESPReply] {
        var reader = try RESPReader()
        var replies: [RESPReply] = []
        for chunk in chunks {
            try reader.feed(ByteBuffer(bytes: chunk).readableBytesView)
            while let reply = try reader.next() { replies.append(reply) }
        }
        return replies
    }

    @Test("a reply split at every byte, and at every pair of bytes, reads the same as whole", arguments: replies)
    func splitAnywhere(text: String) throws {
        let bytes = Array(text.utf8)
        let whole = try self.parse([bytes])
        #expect(whole.count == 1)
        #expect(try self.parse(bytes.map { [$0] }) == whole)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let chunks = [Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]
                #expect(try self.parse(chunks) == whole)
            }
        }
    }

    @Test("replies that arrive together are separated, in order")
    func pipelined() throws {
        let all = try self.parse([Self.replies.flatMap { Array($0.utf8) }])
        let each = try Self.replies.flatMap { try self.parse([Array($0.utf8)]) }
        #expect(all == each)
    }

    @Test("values are read by kind, and the wrong kind is nil, never a trap")
    func values() throws {
        let reply = try #require(try self.parse([Array("*4\r\n$2\r\n12\r\n:5\r\n$-1\r\n*1\r\n+x\r\n".utf8)]).first)
        let elements = reply.root.elements
        #expect(elements.count == 4)
        #expect(elements[0].integer == 12 && elements[0].string == "12")
        #expect(elements[1].integer == 5 && elements[1].string == nil)
        #expect(elements[2].isNull && elements[2].integer == nil && elements[2].elements.isEmpty)
        #expect(elements[3].elements.first?.string == "x")
        #expect(elements[3].string == nil && elements[3].bytes.isEmpty)
    }

    @Test(
        "broken and hostile input is an error",
        arguments: [
            "?x\r\n", "$9223372036854775807\r\n", "$-9\r\n", "*9223372036854775807\r\n", "*-2\r\n", ":abc\r\n",
            "$abc\r\n", "*1000001\r\n",
        ])
    func hostile(text: String) {
        #expect(throws: RedisError.self) {
            // A length that is too large shows when the bytes that it promises do not come to an end.
            var reader = try RESPReader(limits: RESPReader.Limits(values: 1_000_000, bytes: 1024))
            try reader.feed(ByteBuffer(string: text).readableBytesView)
            while try reader.next() != nil {}
            for _ in 0..<64 {
                try reader.feed(ByteBuffer(repeating: UInt8(ascii: "x"), count: 1024).readableBytesView)
                while try reader.next() != nil {}
            }
        }
    }

    @Test("values and bytes a reply are bounded")
    func bounds() throws {
        #expect(throws: RedisError.self) {
            var reader = try RESPReader(limits: RESPReader.Limits(values: 3, bytes: 1024))
            try reader.feed(ByteBuffer(string: "*3\r\n:1\r\n:2\r\n:3\r\n").readableBytesView)
            while try reader.next() != nil {}
        }
        #expect(throws: RedisError.self) {
            var reader = try RESPReader(limits: RESPReader.Limits(values: 100, bytes: 8))
            try reader.feed(ByteBuffer(string: "$9\r\n123456789\r\n").readableBytesView)
            while try reader.next() != nil {}
        }
    }

    @Test("a command is an array of bulk strings whatever its arguments hold")
    func encoding() {
        var command = RedisCommand("SET", "k\r\n$1")
        command.append([0, 13, 10, 255])
        command.append(-12)
        let buffer = RedisCommand.encode([command, RedisCommand("PING")], allocator: ByteBufferAllocator())
        let expected =
            Array("*4\r\n$3\r\nSET\r\n$5\r\nk\r\n$1\r\n$4\r\n".utf8) + [0, 13, 10, 255]
            + Array("\r\n$3\r\n-12\r\n*1\r\n$4\r\nPING\r\n".utf8)
        #expect(Array(buffer.readableBytesView) == expected)
    }
}
