import Foundation
import TestSupport
import Testing

@testable import orchestra

@Suite("SettingKey")
struct SettingKeyTests {
    @Test("no two keys share a name or a variable")
    func unique() {
        #expect(Set(SettingKey.all.map(\.name)).count == SettingKey.all.count)
        #expect(Set(SettingKey.all.map(\.variable)).count == SettingKey.all.count)
    }

    @Test("every default is an accepted value")
    func defaults() {
        for key in SettingKey.all { if let value = key.fallback { #expect(key.kind.accepts(value), "\(key.name)") } }
    }

    @Test("every text is a sentence")
    func texts() { for key in SettingKey.all { #expect(key.text.hasSuffix("."), "\(key.name)") } }

    @Test("no secret has a default")
    func secrets() { for key in SettingKey.all where key.isSecret { #expect(key.fallback == nil, "\(key.name)") } }

    @Test(
        "an integer is accepted inside its range only",
        arguments: [("1", true), ("3", true), ("4", false), ("0", false)])
    func integers(text: String, isAccepted: Bool) {
        #expect(SettingKey.Kind.integer(1...3).accepts(text) == isAccepted)
        #expect(SettingKey.Kind.seconds(1...3).accepts(text) == isAccepted)
    }

    @Test("what is not an integer is not accepted as one", arguments: ["", " 1", "1.0", "0x1", "one"])
    func malformed(text: String) { #expect(!SettingKey.Kind.integer(0...9).accepts(text)) }

    @Test("one of a list is accepted exactly")
    func lists() {
        let kind = SettingKey.Kind.oneOf(["a", "b"])
        #expect(kind.accepts("a") && !kind.accepts("A") && !kind.accepts(""))
    }

    @Test("a text may be empty, a path may not")
    func empty() { #expect(SettingKey.Kind.text.accepts("") && !SettingKey.Kind.path.accepts("")) }

    @Test("the values are named in words")
    func expected() {
        #expect(SettingKey.Kind.integer(1...3).expected == "an integer from 1 to 3")
        #expect(SettingKey.Kind.oneOf(["a", "b"]).expected == "one of a, b")
    }
}

@Suite("SettingReference")
struct SettingReferenceTests {
    @Test("the configuration page is what `orchestra config --reference` prints")
    func page() throws {
        let page = try String(
            contentsOfFile: packageRoot + "/Sources/Orchestra.docc/Configuration.md", encoding: .utf8)
        #expect(page == SettingReference().markdown + "\n")
    }

    @Test("every key has one row")
    func rows() {
        let text = SettingReference().markdown
        for key in SettingKey.all {
            #expect(text.ranges(of: "| `\(key.name)` | `\(key.variable)`").count == 1, "\(key.name)")
        }
    }

    @Test("a secret is marked")
    func secrets() { #expect(SettingReference().markdown.contains("`ORCHESTRA_MASTER_KEY` (secret)")) }
}
