import Domain
import Testing

@testable import Credentials

@Suite("The API key")
struct APIKeyTests {
    private static let text = "relay_sk_abcdefghij234567_" + String(repeating: "a", count: 52)

    @Test("a key is read into its id and its secret, and written as it was")
    func reads() throws {
        let key = try #require(APIKey(Self.text[...]))
        #expect(key.id == "abcdefghij234567")
        #expect(key.secret == Array(String(repeating: "a", count: 52).utf8))
        #expect(key.text == Self.text)
    }

    @Test(
        "any other form is not a key",
        arguments: [
            "", "relay_sk_", text + "a", String(text.dropLast()), text.uppercased(), " " + text,
            text.replacing("_abc", with: "-abc"), text.replacing("a", with: "1"), text.replacing("a", with: "é"),
        ])
    func malformed(text: String) { #expect(APIKey(text[...]) == nil) }

    @Test("new keys have the form of a key and differ in id and secret")
    func random() throws {
        let (one, two) = (try APIKey.random(), try APIKey.random())
        #expect(APIKey(one.text[...])?.text == one.text)
        #expect(one.id != two.id && one.secret != two.secret)
    }

    @Test("the checksum has 16 bits and depends on id and secret")
    func checksum() throws {
        let key = try #require(APIKey(Self.text[...]))
        #expect(try key.checksum().count == 4)
        var sums: Set<String> = []
        for letter in "abcdefghijklmnop" {
            sums.insert(try #require(APIKey((Self.text.dropLast() + String(letter))[...])).checksum())
        }
        #expect(sums.count > 12)
    }
}

@Suite("The record of an API key")
struct KeyRecordTests {
    private func record() throws -> KeyRecord {
        KeyRecord(
            id: "abc", workspace: try WorkspaceID("acme"), roles: [try DefinitionName("viewer")], label: "ci",
            hash: "$argon2id$x", checksum: "0f0f", createdAt: 1, expiresAt: 100)
    }

    private func fields(_ record: KeyRecord) -> [String: String] {
        Dictionary(record.fields) { first, _ in first }
    }

    @Test("a record is read from the fields that it writes")
    func roundTrip() throws {
        let record = try self.record()
        #expect(KeyRecord(id: "abc", fields: self.fields(record)) == record)
    }

    @Test(
        "a record without a field, or with a malformed one, is not a record",
        arguments: ["workspace", "roles", "hash", "created", "expires", "revoked", "used"])
    func missing(name: String) throws {
        var fields = self.fields(try self.record())
        fields[name] = nil
        #expect(KeyRecord(id: "abc", fields: fields) == nil)
        fields[name] = "\u{1}"
        if name != "hash" { #expect(KeyRecord(id: "abc", fields: fields) == nil) }
    }

    @Test("a record of before checksums is read, and its proof covers what it covered")
    func withoutChecksum() throws {
        var record = try self.record()
        record.checksum = nil
        #expect(KeyRecord(id: "abc", fields: self.fields(record)) == record)
        #expect(String(decoding: record.proven, as: UTF8.self) == "abc\nacme\nviewer\n$argon2id$x\n1\n100\n0")
    }

    @Test("the proof covers every field that widens the key, and not its use")
    func proof() throws {
        let record = try self.record()
        var changed = record
        changed.usedAt = 5
        #expect(changed.proven == record.proven)
        changed.revokedAt = 5
        #expect(changed.proven != record.proven)
        changed = record
        changed.checksum = "ffff"
        #expect(changed.proven != record.proven)
    }

    @Test("a key is good until it expires or is revoked")
    func good() throws {
        var record = try self.record()
        #expect(record.isGood(at: 99) && !record.isGood(at: 100))
        record.revokedAt = 1
        #expect(!record.isGood(at: 2))
        let endless = KeyRecord(
            id: "a", workspace: record.workspace, roles: [], label: "", hash: "", createdAt: 0, expiresAt: 0)
        #expect(endless.isGood(at: .max))
    }
}

@Suite("The budget of wrong keys")
struct WrongKeyBudgetTests {
    private let start = ContinuousClock.now

    /// A budget of three at once and two a second, of which `count` were tried from `a`.
    private func budget(after count: Int) -> WrongKeyBudget {
        var budget = WrongKeyBudget(burst: 3, perSecond: 2, capacity: 2)
        for _ in 0..<count { _ = budget.charge("a", at: self.start) }
        return budget
    }

    private func tries(_ count: Int, _ budget: WrongKeyBudget, after: Duration) -> [Bool] {
        var budget = budget
        return (0..<count).map { _ in budget.charge("a", at: self.start + after) }
    }

    @Test("as many wrong keys as the burst are counted, and then none")
    func burst() {
        #expect(self.tries(5, self.budget(after: 0), after: .zero) == [true, true, true, false, false])
        #expect(!self.budget(after: 3).hasLeft("a", at: self.start))
    }

    @Test("it fills by whole seconds, up to the burst")
    func refill() {
        let spent = self.budget(after: 3)
        #expect(!spent.hasLeft("a", at: self.start + .milliseconds(999)))
        #expect(self.tries(3, spent, after: .seconds(1)) == [true, true, false])
        #expect(self.tries(4, spent, after: .seconds(3600)) == [true, true, true, false])
    }

    @Test("each address has its own")
    func addresses() {
        let spent = self.budget(after: 3)
        #expect(spent.hasLeft("b", at: self.start) && !spent.hasLeft("a", at: self.start))
    }

    @Test("addresses beyond the capacity do not grow the memory")
    func capacity() {
        var budget = self.budget(after: 3)
        for address in ["b", "c"] { _ = budget.charge(address, at: self.start) }
        #expect(budget.hasLeft("a", at: self.start), "the earlier budgets are forgotten")
    }
}
