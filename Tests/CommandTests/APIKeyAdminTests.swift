import Testing

@testable import orchestra

@Suite("APIKeyAdmin")
struct APIKeyAdminTests {
    @Test("a lifetime is a number and a unit", arguments: [("30m", 1800), ("12h", 43_200), ("90d", 7_776_000)])
    func lifetimes(text: String, seconds: Int) throws { #expect(try APIKeyAdmin.lifetime(text) == .seconds(seconds)) }

    @Test("never is no lifetime")
    func never() throws { #expect(try APIKeyAdmin.lifetime("never") == nil) }

    @Test(
        "a malformed lifetime is refused",
        arguments: ["", "d", "0d", "-1d", "1", "1w", "3651d", "99999999999999999999d"])
    func malformed(text: String) {
        let error = #expect(throws: CommandError.self) { try APIKeyAdmin.lifetime(text) }
        #expect(error?.status == .usage)
    }

    @Test("ten years are the longest lifetime")
    func longest() throws { #expect(try APIKeyAdmin.lifetime("3650d") == .seconds(3650 * 86_400)) }
}
