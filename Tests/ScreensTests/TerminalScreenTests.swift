import Domain
import Foundation
import TestSupport
import Testing

@testable import Screens

/// `Recordings/screens.json` was recorded from tmux 3.3a: each input written to a raw terminal of that size, and then what
/// `capture-pane` and the formats of cursor and title said. The first ones are named by what they try; `mixed` ones are
/// random sequences.
@Suite("A terminal's screen")
struct TerminalScreenTests {
    struct Recorded: Sendable, CustomTestStringConvertible {
        let name: String
        let columns: Int
        let rows: Int
        let input: [UInt8]
        let lines: [String]
        let cursor: [Int]
        let isAlternate: Bool
        let title: String

        var testDescription: String { self.name }
    }

    private static func recordings() throws -> [Recorded] {
        let path = packageRoot + "/Tests/ScreensTests/Recordings/screens.json"
        let list = try #require(try JSONParser.parse(Array(try Data(contentsOf: URL(filePath: path)))).array)
        return try list.map { item in
            let hex = Array(try #require(item["input"]?.string).utf8)
            let input = try stride(from: 0, to: hex.count, by: 2).map {
                try #require(UInt8(String(decoding: hex[$0..<$0 + 2], as: UTF8.self), radix: 16))
            }
            func number(_ value: JSONValue?) throws -> Int { Int(try #require(value?.integer)) }
            return Recorded(
                name: try #require(item["name"]?.string), columns: try number(item["columns"]),
                rows: try number(item["rows"]), input: input,
                lines: try #require(item["lines"]?.array).compactMap(\.string),
                cursor: try #require(item["cursor"]?.array).map { try number($0) },
                isAlternate: item["alternate"] == true, title: try #require(item["title"]?.string))
        }
    }

    @Test("it shows what tmux showed, however the bytes are cut")
    func recorded() throws {
        let all = try Self.recordings()
        #expect(all.count > 300)
        var random = SeededRandom(seed: 11)
        for recorded in all {
            for isCut in [false, true] {
                var screen = TerminalScreen(columns: recorded.columns, rows: recorded.rows)
                // The recording began with this title.
                screen.feed(Array("\u{1b}]2;t0\u{1b}\\".utf8))
                var rest = recorded.input[...]
                while !rest.isEmpty {
                    let count = isCut ? Int.random(in: 1...7, using: &random) : rest.count
                    screen.feed(rest.prefix(count))
                    rest = rest.dropFirst(count)
                }
                // And ended with the end of any string.
                screen.feed(Array("\u{1b}\\\u{1b}\\".utf8))
                var lines = screen.lines
                while lines.last?.isEmpty == true { lines.removeLast() }
                #expect(lines.map { Array($0.utf8) } == recorded.lines.map { Array($0.utf8) }, "\(recorded.name)")
                #expect([screen.cursor.row, screen.cursor.column] == recorded.cursor, "\(recorded.name)")
                #expect(
                    screen.isAlternate == recorded.isAlternate && screen.title == recorded.title, "\(recorded.name)")
            }
        }
    }

    @Test("a string that is never ended blinds it only until it is given up")
    func abandoned() {
        var screen = TerminalScreen(columns: 40, rows: 5)
        screen.feed(Array("before\u{1b}Pq swallowed".utf8))
        #expect(screen.isInsideString && screen.lines[0] == "before")
        screen.abandonString()
        screen.feed(Array(" after".utf8))
        #expect(!screen.isInsideString && screen.lines[0] == "before after")
    }

    @Test("whatever is fed, at whatever sizes, its cursor stays on it and its lines in number")
    func random() {
        var random = SeededRandom(seed: 5)
        var screen = TerminalScreen(columns: 80, rows: 24)
        var size = (80, 24)
        let bytes = Array(
            "\u{1b}\u{1b}[[]PX^_;;?0123456789ABCDHJKLMPSTXZ@`abdefghmlrsu\r\n\t\u{8}\u{e}\u{f}ab 中é👍\u{301}\u{200d}"
                .utf8)
        for round in 0..<4000 {
            let piece = (0..<Int.random(in: 1...60, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? UInt8.random(in: 0...255, using: &random) : bytes[Int.random(in: 0..<bytes.count, using: &random)]
            }
            screen.feed(piece)
            if round % 20 == 0 {
                let wanted = (Int.random(in: -5...600, using: &random), Int.random(in: -5...250, using: &random))
                screen.resize(columns: wanted.0, rows: wanted.1)
                size = (min(max(wanted.0, 1), 500), min(max(wanted.1, 1), 200))
            }
            let cursor = screen.cursor
            #expect((0..<size.0).contains(cursor.column) && (0..<size.1).contains(cursor.row))
            #expect(screen.lines.count == size.1 && screen.title.count <= 256)
        }
    }
}
