import TestSupport
import Testing

@testable import Redaction

@Suite("Redactor")
struct RedactorTests {
    /// The output for these pieces.
    private func redact(_ pieces: [[UInt8]], _ rules: RedactionRules = .standard, isLive: Bool = false) -> [UInt8] {
        var redactor = Redactor(rules, isLive: isLive)
        var output: [UInt8] = []
        for piece in pieces { redactor.redact(piece, into: &output) }
        redactor.finish(into: &output)
        return output
    }

    /// The text in pieces of random sizes.
    private func cut(_ text: [UInt8], _ random: inout SeededRandom) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = text[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...min(9, rest.count), using: &random)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    @Test("99.5 % of the tokens with a form of their own are found wherever they stand")
    func tokens() {
        var corpus = SecretCorpus(seed: 1)
        let cases = corpus.tokens()
        let missed = cases.filter { Redactor.redacted($0.line).contains($0.secret) }
        #expect(
            missed.count * 200 <= cases.count, "\(missed.count) of \(cases.count): \(missed.prefix(300).map(\.family))")
    }

    @Test("97 % of the secrets that a name identifies are found in all notations")
    func named() {
        var corpus = SecretCorpus(seed: 2)
        let cases = corpus.named()
        let missed = cases.filter { Redactor.redacted($0.line).contains($0.secret) }
        #expect(
            missed.count * 100 <= cases.count * 3,
            "\(missed.count) of \(cases.count): \(missed.prefix(300).map(\.line))")
    }

    @Test("a line without a secret stays as it is, byte for byte", arguments: HarmlessText.lines)
    func harmless(line: String) { #expect(Redactor.redacted(line + "\n") == line + "\n") }

    @Test("identifiers and digests among words stay as they are")
    func identifiers() {
        for line in HarmlessText.made(seed: 3, count: 3000) { #expect(Redactor.redacted(line) == line) }
    }

    @Test("the pieces in which a text comes change nothing, and neither does redacting twice")
    func pieces() {
        var corpus = SecretCorpus(seed: 4)
        var random = SeededRandom(seed: 4)
        for sample in (corpus.tokens() + corpus.named()).shuffled(using: &random).prefix(1500) {
            let bytes = Array("x \(sample.line)\nnext\n".utf8)
            let whole = Redactor.redacted(bytes)
            #expect(self.redact(bytes.map { [$0] }) == whole, "\(sample.line)")
            #expect(self.redact(self.cut(bytes, &random)) == whole, "\(sample.line)")
            #expect(Redactor.redacted(whole) == whole, "\(sample.line)")
            #expect(whole.count { $0 == 0x0a } == bytes.count { $0 == 0x0a })
        }
    }

    @Test("colours within a secret do not hide it, and stay")
    func colours() {
        var corpus = SecretCorpus(seed: 5)
        for form in SecretCorpus.forms {
            let token = corpus.token(form)
            let place = token.index(token.startIndex, offsetBy: token.count / 2)
            let line = "\u{1b}[32m\(token[..<place])\u{1b}[1;31m\u{1b}[K\(token[place...])\u{1b}[0m end\n"
            let shown = Redactor.redacted(line)
            #expect(!shown.contains(token.suffix(10)) && shown.hasSuffix("\u{1b}[0m end\n"), "\(form): \(shown)")
            #expect(shown.contains("\u{1b}[1;31m\u{1b}[K"))
        }
    }

    @Test("a secret that a terminal wrapped is found, and the line after it stays")
    func wraps() {
        let token = "sk-ant-api03-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4y-x1AA"
        let place = token.index(token.startIndex, offsetBy: 50)
        let line = "this is what the command printed: \(token[..<place])\r\n\(token[place...])\r\n"
        let mark = "this is what the command printed: [redacted:anthropic-key]"
        #expect(Redactor.redacted(line) == "\(mark)\r\n\r\n")
        let short = "the token that was created for this run is ghp_16C7e42F292c6912E7\n710c838347Ae178B4a ok\n"
        #expect(Redactor.redacted(short) == "the token that was created for this run is [redacted:github-token]\n ok\n")
        for next in [
            "2026-01-01T00:00:00Z x", "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11", "someWordsHere", "e3b0c44298fc1c149afb",
        ] {
            let text = "this is what the command printed: \(token)\n\(next)\n"
            #expect(Redactor.redacted(text) == "\(mark)\n\(next)\n")
        }
    }

    @Test("a marker names the kind and stands where the secret stood")
    func markers() {
        #expect(Redactor.redacted("a ghp_16C7e42F292c6912E7710c838347Ae178B4a b") == "a [redacted:github-token] b")
        #expect(Redactor.redacted("DB_PASSWORD=hunter2x") == "DB_PASSWORD=[redacted:password]")
        #expect(
            Redactor.redacted("{\"password\":\"x \\\"b\\\" c9\",\"x\":1}")
                == "{\"password\":\"[redacted:password]\",\"x\":1}")
        #expect(Redactor.redacted("postgres://app:s3cr3t@db/x") == "postgres://app:[redacted:url-password]@db/x")
        #expect(Redactor.redacted("Cookie: a=b; c=d\r\nHost: x\r\n") == "Cookie: [redacted:cookie]\r\nHost: x\r\n")
        #expect(
            Redactor.redacted("*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$4\r\nabcd\r\n*1\r\n")
                == "*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$4\r\n[redacted:password]\r\n*1\r\n")
        #expect(Redactor.redacted("mysql -uroot -ps3cr3t db") == "mysql -uroot -p[redacted:password] db")
    }

    @Test("a private key loses each of its lines, also when its end is cut off")
    func privateKeys() {
        let body = "MIIEpAIBAAKCAQEA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL"
        let key = "-----BEGIN RSA PRIVATE KEY-----\n\(body)\nabcd==\n-----END RSA PRIVATE KEY-----\nafter it\n"
        let mark = "[redacted:private-key]"
        #expect(Redactor.redacted(key) == "\(mark)\n\(mark)\n\(mark)\n\(mark)\nafter it\n")
        #expect(Redactor.redacted("-----BEGIN PRIVATE KEY-----\n\(body)\n$ ls -l\n") == "\(mark)\n\(mark)\n$ ls -l\n")
        let line = "{\"key\":\"-----BEGIN PRIVATE KEY-----\\n\(body)\\n-----END PRIVATE KEY-----\\n\",\"x\":1}"
        #expect(Redactor.redacted(line) == "{\"key\":\"\(mark)\\n\",\"x\":1}")
    }

    @Test("a value that the process knows is found in every encoding")
    func known() throws {
        let secret = "correct horse/battery+staple?"
        let rules = RedactionRules(known: [Array(secret.utf8)])
        let encodings = KnownSecret.encodings(of: Array(secret.utf8)).map { String(decoding: $0, as: UTF8.self) }
        #expect(Set(encodings).count >= 9)
        for text in encodings {
            #expect(Redactor.redacted("a \(text) b", rules) == "a [redacted:known-secret] b")
        }
        #expect(RedactionRules(known: [Array("short".utf8)]).anchors.count == RedactionRules.standard.anchors.count)
    }

    @Test("a live redactor shows a prompt and a typed word at once, and no part of a secret")
    func live() {
        var redactor = Redactor(isLive: true)
        var output: [UInt8] = []
        func shown(_ text: String) -> String {
            output = []
            redactor.redact(Array(text.utf8), into: &output)
            return String(decoding: output, as: UTF8.self)
        }
        #expect(shown("$ g") == "$ g" && shown("h") == "h" && shown("p_16C7e42F292c69") == "p_")
        #expect(shown("12E7710c838347Ae178B4a\n") == "[redacted:github-token]")
        #expect(
            shown("Password: ") == "\nPassword: " && shown("s3cr") == "" && shown("3tpw\n") == "[redacted:password]\n")
    }

    @Test("a token that stands directly behind a name is not shown live, however it is cut")
    func liveBehindName() {
        var random = SeededRandom(seed: 7)
        let token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
        for name in ["GITHUB_TOKEN", "secret_", "my-password.", "API_KEY"] {
            for _ in 0..<50 {
                let text = Array("export \(name)\(token)\nls".utf8)
                let output = self.redact(self.cut(text, &random), isLive: true)
                let shown = String(decoding: output, as: UTF8.self)
                #expect(shown.hasSuffix("[redacted:github-token]\nls"), "\(shown)")
                #expect(!shown.contains(token.dropFirst(9)), "\(shown)")
            }
        }
    }

    @Test("a secret of any length is left out in bounded memory")
    func long() {
        let value = "sk-ant-api03-" + String(repeating: "aB3x", count: 200_000)
        var redactor = Redactor()
        var output: [UInt8] = []
        for _ in 0..<4 { redactor.redact(Array(value.utf8), into: &output) }
        #expect(redactor.text.count < 2 * value.utf8.count)
        redactor.finish(into: &output)
        #expect(String(decoding: output, as: UTF8.self) == "[redacted:anthropic-key]")
    }

    @Test("the checksum of a GitHub token is the CRC-32 of its random part")
    func checksum() {
        #expect(TokenChecksum.text(of: "123456789".utf8).count == 6)
        let body = "abcdefghijklmnopqrstuvwxyz0123"
        let token = "ghp_\(body)\(String(decoding: TokenChecksum.text(of: body.utf8), as: UTF8.self))"
        #expect(Redactor.redacted("x\(token)y").hasPrefix("x[redacted:github-token]"))
    }
}
