import Redaction

// orchestra-bench-redaction [--megabytes N] [--rounds N]
//
// Megabytes a second of the redactor on one core, by kind of input, next to a pass over the same bytes in the same run that
// counts one byte: the ratio does not depend on the machine.

func option(_ name: String, default fallback: Int) -> Int {
    let arguments = CommandLine.arguments
    guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return fallback }
    return Int(arguments[index + 1]) ?? fallback
}

/// A generator of the same texts in each run.
struct Noise {
    private var state: UInt64 = 42

    mutating func next() -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return self.state >> 33
    }

    mutating func text(_ alphabet: [Character], _ count: Int) -> String {
        String((0..<count).map { _ in alphabet[Int(self.next() % UInt64(alphabet.count))] })
    }
}

let hex = Array("0123456789abcdef")
let alnum = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
let words = """
    the build compiled module warning unused variable of a in to and with Compiling Linking package target test passed suite \
    started finished after seconds at line error expected found function value type protocol result index request response \
    status token passes keyboard monkey secret agent session author basic skill task risk
    """.split(separator: " ").map(String.init)

func harmless(_ noise: inout Noise) -> String {
    switch noise.next() % 6 {
    case 0:
        let id = noise.text(hex, 32)
        return
            "{\"ts\":\"2026-01-01T00:00:00.000Z\",\"level\":\"info\",\"msg\":\"job finished\",\"trace\":\"00-\(id)\"}\n"
    case 1: return "\u{1b}[32m✓\u{1b}[0m test \(noise.next() % 1000) passed after 0.0\(noise.next() % 100) seconds\r\n"
    case 2: return "\(noise.text(hex, 40)) refs/heads/feature-\(noise.next() % 100)\n"
    default:
        return (0..<12).map { _ in words[Int(noise.next() % UInt64(words.count))] }.joined(separator: " ") + "\n"
    }
}

func hostile(_ noise: inout Noise) -> String {
    switch noise.next() % 8 {
    case 0: return "export TOKEN=\(noise.text(alnum, 32))\n"
    case 1: return "\u{1b}[1mghp_\u{1b}[31m\(noise.text(alnum, 20))\u{1b}[0m\(noise.text(alnum, 16))\n"
    case 2: return String(repeating: "password=", count: 20) + "\n"
    case 3: return String(repeating: "sk-ant-", count: 20) + "\n"
    case 4: return String(repeating: "eyJ", count: 40) + "\n"
    case 5: return String(repeating: "https://a:", count: 12) + "\n"
    case 6: return String(repeating: "key token secret auth Bearer ", count: 6) + "\n"
    default: return "-----BEGIN PRIVATE KEY-----\n\(noise.text(alnum, 64))\n-----END PRIVATE KEY-----\n"
    }
}

func input(_ megabytes: Int, _ line: (inout Noise) -> String) -> [UInt8] {
    var noise = Noise()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(megabytes << 20)
    while bytes.count < megabytes << 20 { bytes += line(&noise).utf8 }
    return bytes
}

/// Megabytes a second of the fastest round.
func speed(_ bytes: [UInt8], rounds: Int, _ body: ([UInt8]) -> Int) -> Double {
    var best = 0.0
    for _ in 0..<rounds {
        let start = ContinuousClock.now
        let check = body(bytes)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard check >= 0 else { fatalError("a pass failed") }
        best = max(best, Double(bytes.count) / 1e6 / seconds)
    }
    return best
}

func redact(_ bytes: [UInt8]) -> Int {
    var redactor = Redactor()
    var output: [UInt8] = []
    output.reserveCapacity(128 * 1024)
    var count = 0
    var place = 0
    while place < bytes.count {
        let end = min(place + 65_536, bytes.count)
        redactor.redact(bytes[place..<end], into: &output)
        count += output.count
        output.removeAll(keepingCapacity: true)
        place = end
    }
    redactor.finish(into: &output)
    return count + output.count
}

/// Counts one byte, a byte at a time, as the simplest filter does.
func countLines(_ bytes: [UInt8]) -> Int {
    var count = 0
    for byte in bytes where byte == 0x0a { count += 1 }
    return count
}

let megabytes = option("--megabytes", default: 64)
let rounds = option("--rounds", default: 3)
for (name, line) in [("harmless", harmless), ("hostile", hostile)] {
    let bytes = input(megabytes, line)
    let pass = speed(bytes, rounds: rounds, countLines)
    let filter = speed(bytes, rounds: rounds, redact)
    print(
        "\(name): redactor \(Int(filter)) MB/s, counting pass \(Int(pass)) MB/s, ratio \(Int(filter / pass * 1000)) ‰")
}
