import Domain
import Foundation
import NIOCore
import Redaction
import Redis
import Screens
import ShimProtocol
import TestSupport

// orchestra-fuzz TARGET SEEDS [--runs N] [--seed S]
//
// Mutates the committed seeds and feeds the results to a parser, cut into random chunks. A parser may refuse;
// it may not trap, hang or read out of bounds (build with --sanitize address to see the last). The seed is
// printed, so that a finding can be replayed.

func mutate(_ seed: [UInt8], tokens: [[UInt8]], random: inout SeededRandom) -> [UInt8] {
    var bytes = seed
    for _ in 0..<Int.random(in: 1...4, using: &random) {
        let position = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0...5, using: &random) {
        case 0 where !bytes.isEmpty: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
        case 2 where !bytes.isEmpty: bytes.remove(at: position)
        case 3: bytes.insert(contentsOf: tokens.randomElement(using: &random) ?? [], at: position)
        case 4: bytes = Array(bytes.prefix(position))
        default: bytes += bytes.prefix(256)
        }
    }
    return bytes
}

func feedRESP(_ bytes: [UInt8], random: inout SeededRandom) {
    do {
        var reader = try RESPReader(limits: RESPReader.Limits(values: 1000, bytes: 64 * 1024))
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...max(1, rest.count), using: &random)
            try reader.feed(ByteBuffer(bytes: rest.prefix(count)).readableBytesView)
            rest = rest.dropFirst(count)
            while let reply = try reader.next() { touch(reply.root, depth: 0) }
        }
    } catch { return }
}

func touch(_ value: RESPValue, depth: Int) {
    _ = value.integer
    _ = value.string
    for element in value.elements where depth < 16 { touch(element, depth: depth + 1) }
}

func feedShim(_ bytes: [UInt8]) {
    var buffer = bytes
    while (try? ShimFrame.next(from: &buffer)).flatMap({ $0 }) != nil {}
    _ = try? LaunchSpec(decoding: bytes)
    _ = try? LaunchSpec.Secret.list(decoding: bytes)
    _ = try? GuardSpec(decoding: bytes)
    _ = LogTiming.pairs(bytes)
    var events = EventLog()
    _ = events.take(bytes, at: 0)
    let text = String(decoding: bytes, as: UTF8.self)
    _ = try? TypedText.checked(text)
    for name in text.split(separator: " ") { _ = try? TerminalKey(String(name)) }
    _ = TerminalSizes(decoding: bytes)
    var ledger = MessageLedger()
    _ = ledger.queue([1], at: 0)
    ledger.began([1], echo: Array(bytes.prefix(8)))
    _ = ledger.output(bytes, at: 0)
    _ = try? ExitRecord(decoding: bytes)
}

/// Ends with the input, which belongs into the seeds.
func report(_ finding: String, _ bytes: [UInt8]) -> Never {
    let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    fatalError("\(finding); the input in hexadecimal digits: \(digits)")
}

func feedJSON(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return }
    guard (try? JSONParser.parse(value.bytes)) == value else {
        report("a document was not written as it was read", bytes)
    }
}

/// Raw bytes at a small screen; what it shows stays on it.
func feedScreen(_ bytes: [UInt8], random: inout SeededRandom) {
    var screen = TerminalScreen(
        columns: Int.random(in: 1...90, using: &random), rows: Int.random(in: 1...30, using: &random))
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = Int.random(in: 1...max(1, rest.count), using: &random)
        screen.feed(rest.prefix(count))
        rest = rest.dropFirst(count)
        if Int.random(in: 0...9, using: &random) == 0 {
            screen.resize(
                columns: Int.random(in: 1...90, using: &random), rows: Int.random(in: 1...30, using: &random))
        }
    }
    _ = ScreenRules([ScreenRule(state: .ready, contains: ["a"], cursorLineEnds: "$")]).conclusion(from: screen)
}

/// The cuts change nothing, lines stay, and a second time changes nothing.
func feedRedactor(_ bytes: [UInt8], random: inout SeededRandom) {
    let whole = Redactor.redacted(bytes)
    for isLive in [false, true] {
        var redactor = Redactor(isLive: isLive)
        var output: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...max(1, rest.count), using: &random)
            redactor.redact(rest.prefix(count), into: &output)
            rest = rest.dropFirst(count)
        }
        redactor.finish(into: &output)
        guard isLive || output == whole else { report("the cuts changed what came out", bytes) }
    }
    guard bytes.count(where: { $0 == 0x0a }) == whole.count(where: { $0 == 0x0a }) else {
        report("a line is missing", bytes)
    }
    guard Redactor.redacted(whole) == whole else { report("a second time changed what came out", bytes) }
}

func feedText(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    _ = try? CronExpression(text)
    _ = try? JobID(text)
    _ = try? RequestID(text)
    _ = try? WorkspaceID(text)
    _ = ShimProgress.parse(text)
    _ = Printable.text(text)
}

var options = CommandLine.arguments.dropFirst()
guard let target = options.popFirst(), ["resp", "shim", "json", "screen", "text", "redact"].contains(target),
    let directory = options.popFirst()
else {
    print("usage: orchestra-fuzz resp|shim|json|screen|text|redact SEEDS [--runs N] [--seed S]")
    exit(64)
}
func number(_ name: String, in options: ArraySlice<String>, default fallback: UInt64) -> UInt64 {
    let list = Array(options)
    guard let index = list.firstIndex(of: name), index + 1 < list.count else { return fallback }
    return UInt64(list[index + 1]) ?? fallback
}
let runs = number("--runs", in: options, default: 100_000)
let seed = number("--seed", in: options, default: UInt64.random(in: 0...UInt64.max))
var random = SeededRandom(seed: seed)
let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
let seeds = names.compactMap { FileManager.default.contents(atPath: "\(directory)/\($0)").map { Array($0) } }
guard !seeds.isEmpty else {
    print("no seeds in \(directory)")
    exit(66)
}
let tokens = [
    "$-1\r\n", "*-1\r\n", "*1000000\r\n", "$9223372036854775807\r\n", "\r\n", ":", "\u{0}\u{0}\u{0}\u{1}", "{", "\"",
    "\\u", "\u{1b}[", "\u{1b}]0;", "\u{1b}P", "\u{1b}\\", "\u{1b}[?1049h", "\u{1b}[99999;99999H", "\u{301}", "*/5",
].map { Array($0.utf8) }
print("target \(target), \(seeds.count) seeds, \(runs) runs, --seed \(seed)")
for run in 0..<runs {
    let bytes =
        run < UInt64(seeds.count)
        ? seeds[Int(run)] : mutate(seeds.randomElement(using: &random) ?? [], tokens: tokens, random: &random)
    switch target {
    case "resp": feedRESP(bytes, random: &random)
    case "shim": feedShim(bytes)
    case "screen": feedScreen(bytes, random: &random)
    case "text": feedText(bytes)
    case "redact": feedRedactor(bytes, random: &random)
    default: feedJSON(bytes)
    }
}
print("no findings")
