import Domain
import Logging
import Synchronization
import Testing

@testable import Redaction

@Suite("JSONLogHandler")
struct JSONLogHandlerTests {
    private struct Failure: Error, CustomStringConvertible { let description: String }

    /// The lines that the body logs.
    private func lines(level: Logger.Level = .info, _ body: (Logger) -> Void) throws -> [JSONValue] {
        let lines = Mutex<[[UInt8]]>([])
        let handler = JSONLogHandler(component: "test", level: level, now: { "2026-01-01T00:00:00.000Z" }) { line in
            lines.withLock { $0.append(line) }
        }
        body(Logger(label: "test") { _ in handler })
        return try lines.withLock { $0 }.map { line in
            #expect(line.last == 0x0a && line.count { $0 == 0x0a } == 1)
            return try JSONParser.parse(Array(line.dropLast()))
        }
    }

    @Test("a line is one JSON object with time, level, message and component")
    func members() throws {
        let line = try #require(try self.lines { $0.notice("up") }.first)
        #expect(line["ts"]?.string == "2026-01-01T00:00:00.000Z" && line["level"]?.string == "notice")
        #expect(line["msg"]?.string == "up" && line["component"]?.string == "test")
    }

    @Test("newlines in a message and in a value are escaped")
    func newlines() throws {
        let line = try #require(try self.lines { $0.info("a\nb", metadata: ["job.id": "1\n{}"]) }.first)
        #expect(line["msg"]?.string == "a\nb" && line["job.id"]?.string == "1\n{}")
    }

    @Test("a level below the configured one is not written")
    func levels() throws { #expect(try self.lines { $0.debug("no") }.isEmpty) }

    @Test(
        "a value whose key names a secret is replaced",
        arguments: [
            "redis.password", "api_key", "key", "auth.token", "Authorization", "set-cookie", "client_secret",
            "key.text",
        ])
    func secrets(key: String) { #expect(JSONLogHandler.namesSecret(key)) }

    @Test(
        "a key that names a property of a secret is not replaced",
        arguments: ["key.id", "token.kind", "key.count", "secret.file", "job.id", "keyboard", "monkey", ""])
    func harmless(key: String) { #expect(!JSONLogHandler.namesSecret(key)) }

    @Test("the id of a key is written, its text is not")
    func keyID() throws {
        let line = try #require(try self.lines { $0.info("x", metadata: ["key.id": "5j3k", "key.text": "s3"]) }.first)
        #expect(line["key.id"]?.string == "5j3k" && line["key.text"]?.string == "[redacted:secret]")
    }

    @Test("a long value is cut")
    func longValue() throws {
        let long = String(repeating: "x", count: 5000)
        let line = try #require(try self.lines { $0.info("x", metadata: ["reason": "\(long)"]) }.first)
        #expect(line["reason"]?.string?.utf8.count == 2051)
    }

    @Test("a line that is too long keeps its first members and says that it is cut")
    func longLine() throws {
        let metadata = Logger.Metadata(
            uniqueKeysWithValues: (0..<8).map { ("m\($0)", .string(String(repeating: "x", count: 2000))) })
        let line = try #require(try self.lines { $0.info("big", metadata: metadata) }.first)
        #expect(line["msg"]?.string == "big" && line["cut"] == .bool(true) && line["m0"] == nil)
    }

    @Test("an error is written under its own name")
    func error() throws {
        let line = try #require(try self.lines { $0.error("x", error: Failure(description: "because")) }.first)
        #expect(line["error"]?.string == "because")
    }

    @Test("metadata of the event replaces that of the handler")
    func merging() throws {
        let line = try #require(
            try self.lines {
                var logger = $0
                logger[metadataKey: "a"] = "1"
                logger[metadataKey: "b"] = "1"
                logger.info("x", metadata: ["a": "2"])
            }.first)
        #expect(line["a"]?.string == "2" && line["b"]?.string == "1")
    }
}
