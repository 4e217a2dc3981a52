import Domain
import Testing

@Suite("Names")
struct NameTests {
    @Test("names begin and end with a letter or digit", arguments: ["-a", "a-", "_a", "a_", ".a", "a."])
    func ends(text: String) {
        #expect(throws: DomainError.self) { try WorkspaceID(text) }
        #expect(throws: DomainError.self) { try ActionName(text) }
        #expect(throws: DomainError.self) { try NodeID(text) }
        #expect(throws: DomainError.self) { try DefinitionName(text) }
        #expect(throws: DomainError.self) { try JobTag(text) }
    }

    @Test(
        "each kind of name has its own separators",
        arguments: [
            ("a-b", [true, false, true, true, true]), ("a_b", [true, true, false, true, true]),
            ("a.b", [false, true, true, false, true]), ("a/b", [false, false, false, false, false]),
            ("a,b", [false, false, false, false, false]), ("a b", [false, false, false, false, false]),
        ])
    func separators(text: String, expected: [Bool]) {
        func isValid(_ make: () throws -> Void) -> Bool {
            do {
                try make()
                return true
            } catch { return false }
        }
        let results = [
            isValid { _ = try WorkspaceID(text) }, isValid { _ = try ActionName(text) },
            isValid { _ = try NodeID(text) },
            isValid { _ = try DefinitionName(text) }, isValid { _ = try JobTag(text) },
        ]
        #expect(results == expected)
    }

    @Test("the longest names are 63 bytes, of actions 64")
    func lengths() throws {
        let (longest, longer) = (String(repeating: "a", count: 63), String(repeating: "a", count: 64))
        #expect(try WorkspaceID(longest).name == longest && (ActionName(longer).name) == longer)
        #expect(try NodeID(longest).name == longest && (JobTag(longest).name) == longest)
        #expect(throws: DomainError.self) { try WorkspaceID(longer) }
        #expect(throws: DomainError.self) { try NodeID(longer) }
        #expect(throws: DomainError.self) { try DefinitionName(longer) }
        #expect(throws: DomainError.self) { try JobTag(longer) }
        #expect(throws: DomainError.self) { try ActionName(longer + "a") }
    }

    @Test("one letter or digit is a name", arguments: ["a", "z", "0", "9"])
    func shortest(text: String) throws { #expect(try WorkspaceID(text).description == text) }

    @Test(
        "upper case and letters of other alphabets are refused", arguments: ["A", "aB", "ä", "а", "ａ", "1️⃣", "a\u{301}"])
    func otherLetters(text: String) { #expect(throws: DomainError.self) { try WorkspaceID(text) } }

    @Test("a refusal names the kind, the text and what was expected")
    func message() {
        let error = #expect(throws: DomainError.self) { try NodeID("A!") }
        #expect(error?.code == .invalidIdentifier)
        #expect(error?.message.contains("node name") == true && error?.message.contains("'A!'") == true)
        #expect(error?.message.contains("1 to 63") == true)
    }

    @Test("a very long refused text is cut in the message")
    func longMessage() {
        let error = #expect(throws: DomainError.self) { try WorkspaceID(String(repeating: "é", count: 10_000)) }
        #expect(error?.message.count ?? .max < 300)
    }
}

@Suite("JobID")
struct JobIDTests {
    private func id(_ milliseconds: UInt64, _ high: UInt64 = 0, _ low: UInt64 = 0) -> JobID {
        JobID(milliseconds: milliseconds, randomHigh: high, randomLow: low)
    }

    @Test("version and variant are those of RFC 9562, whatever the random bits", arguments: [UInt64.min, .max])
    func version(bits: UInt64) {
        let uuid = self.id(1, bits, bits).uuid
        #expect(uuid.high >> 12 & 0xf == 7 && uuid.low >> 62 == 2)
    }

    @Test("the time is kept in 48 bits", arguments: [0, 1, 1_800_000_000_000, (1 << 48) - 1])
    func time(milliseconds: UInt64) { #expect(self.id(milliseconds, .max, .max).milliseconds == milliseconds) }

    @Test("later ids have larger bytes and larger texts: they sort by their time")
    func order() {
        let ids = [self.id(1, .max, .max), self.id(2), self.id(255, 1), self.id(256), self.id(1 << 40)]
        let texts = ids.map(\.description)
        #expect(texts == texts.sorted())
        for (earlier, later) in zip(ids, ids.dropFirst()) {
            #expect(earlier.uuid.bytes.lexicographicallyPrecedes(later.uuid.bytes))
        }
    }

    @Test("74 random bits distinguish ids of one millisecond")
    func randomBits() {
        #expect(self.id(1, 0x0fff, 0) != self.id(1, 0, 0))
        #expect(self.id(1, 0, 0x3fff_ffff_ffff_ffff) != self.id(1, 0, 0))
    }

    @Test(
        "only a UUID of version 7 and this variant is a job id",
        arguments: [
            "01a3185c-5000-4001-8000-000000000002", "01a3185c-5000-7001-c000-000000000002",
            "01a3185c-5000-7001-0000-000000000002", "01a3185c-5000-8001-8000-000000000002",
        ])
    func otherVersions(text: String) { #expect(throws: DomainError.self) { try JobID(text) } }

    @Test("a request id is any UUID, in either case")
    func requestID() throws {
        let text = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
        #expect(try RequestID(text).description == text && (RequestID(text.uppercased())) == (RequestID(text)))
        #expect(throws: DomainError.self) { try RequestID("1") }
    }

    @Test("an incarnation prints as its number in hexadecimal")
    func incarnation() { #expect(Incarnation(value: 0x0123_abcd).description == "000000000123abcd") }
}

@Suite("EntryID")
struct EntryIDTests {
    private func read(_ text: String) -> EntryID? { EntryID(text: Array(text.utf8)[...]) }

    @Test(
        "an entry's place is read as Redis writes it",
        arguments: [
            ("0-0", UInt64(0), UInt64(0)), ("1700000000000-0", 1_700_000_000_000, 0), ("5-17", 5, 17),
            ("9999999999999999999-1", 9_999_999_999_999_999_999, 1),
        ])
    func read(text: String, milliseconds: UInt64, sequence: UInt64) {
        let id = EntryID(milliseconds: milliseconds, sequence: sequence)
        #expect(self.read(text) == id && id.description == text)
    }

    @Test(
        "other texts are refused",
        arguments: [
            "", "-", "1", "1-", "-1", "1-2-3", "a-1", "1-a", "1 -1", "+1-1", "00000000000000000001-1", "1--1", "1.0-1",
        ])
    func refused(text: String) { #expect(self.read(text) == nil) }

    @Test("entries are in the order of their times, then of their numbers")
    func order() {
        let ids = [(1, 0), (1, 1), (1, 10), (2, 0), (10, 0)].map { EntryID(milliseconds: $0.0, sequence: $0.1) }
        #expect(ids.shuffled().sorted() == ids)
    }
}

@Suite("Job states and outcomes")
struct JobStateTests {
    @Test("five states are final", arguments: JobState.allCases)
    func final(state: JobState) {
        #expect(state.isFinal == [.completed, .cancelled, .discarded, .unresolved, .lost].contains(state))
    }

    @Test("what is not final may be cancelled", arguments: JobState.allCases.filter { !$0.isFinal })
    func cancellable(state: JobState) { #expect(state.successors.contains(.cancelled)) }

    @Test("only a running job ends otherwise, but for one that may not even begin")
    func ends() {
        #expect(JobState.allCases.filter { $0.successors.contains(.completed) } == [.running])
        #expect(JobState.allCases.filter { $0.successors.contains(.unresolved) } == [.running])
        #expect(JobState.allCases.filter { $0.successors.contains(.discarded) } == [.available, .running])
    }

    @Test("every state but the first two can be reached from another one")
    func reachable() {
        let reached = JobState.allCases.reduce(into: Set<JobState>()) { $0.formUnion($1.successors) }
        #expect(Set(JobState.allCases).subtracting(reached) == [.scheduled])
    }

    @Test(
        "each outcome has one word",
        arguments: [
            (Outcome.completed(result: []), "completed"), (.failed(Failure(reason: "", isRetryable: true)), "failed"),
            (.refused(reason: ""), "refused"), (.unknown(reason: ""), "unknown"), (.cancelled(.user), "cancelled"),
        ])
    func names(outcome: Outcome, name: String) { #expect(outcome.name == name) }

    @Test("the more urgent priority is the smaller")
    func priorities() {
        #expect(Priority.allCases.shuffled().sorted() == [.high, .normal, .low])
        #expect(Priority.allCases.map(\.rawValue) == [1, 2, 3])
    }
}

@Suite("Printable")
struct PrintableTests {
    @Test(
        "control characters are replaced, one for one",
        arguments: ["\u{0}", "\n", "\u{1b}", "\u{7f}", "\u{80}", "\u{9f}"])
    func control(text: String) { #expect(Printable.text("a\(text)b") == "a\u{fffd}b") }

    @Test("other characters are kept", arguments: ["a b", "é", "😀", "\u{a0}", "'\"\\"])
    func kept(text: String) { #expect(Printable.text(text) == text) }

    @Test(
        "a longer text is cut and says so; one of the limit is not", arguments: [(5, "abcde"), (4, "abcd…"), (0, "…")])
    func limit(limit: Int, expected: String) { #expect(Printable.text("abcde", limit: limit) == expected) }

    @Test("an empty text is empty")
    func empty() { #expect(Printable.text("", limit: 0).isEmpty) }
}

@Suite("Access")
struct AccessTests {
    @Test(
        "scopes and operations keep their names: policies and tokens spell them",
        arguments: [
            (Scope.preview, "actions:preview"), (.execute, "actions:execute"), (.readFiles, "files:read"),
            (.writeFiles, "files:write"), (.readAudit, "audit:read"),
        ])
    func scopes(scope: Scope, name: String) { #expect(scope.rawValue == name && Scope(rawValue: name) == scope) }

    @Test(
        "other spellings are no scope", arguments: ["", "actions", "actions:*", "Actions:Preview", "actions:preview "])
    func otherScopes(name: String) { #expect(Scope(rawValue: name) == nil) }

    @Test("operations are named noun.verb, each once")
    func operations() {
        let names = Operation.allCases.map(\.rawValue)
        #expect(Set(names).count == names.count)
        for name in names {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            #expect(parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isLowercase } })
        }
    }

    @Test("principals that differ in anything are different")
    func principals() throws {
        func principal(
            actor: String = "key:1", workspace: String = "acme", scopes: Set<Scope> = [], expiresAt: UInt64? = nil
        ) throws -> Principal {
            Principal(
                actor: actor, subject: "s", workspace: try WorkspaceID(workspace), roles: [], scopes: scopes,
                credential: .key("1"), expiresAt: expiresAt)
        }
        let all = [
            try principal(), try principal(actor: "key:2"), try principal(workspace: "other"),
            try principal(scopes: [.execute]), try principal(expiresAt: 1),
        ]
        #expect(try Set(all).count == all.count && (principal()) == all[0])
    }
}
