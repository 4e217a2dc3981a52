import Testing

@testable import Redaction

@Suite("Secret")
struct SecretTests {
    @Test("a secret prints as a placeholder in every way of printing")
    func printing() {
        let secret = Secret("hunter2")
        #expect("\(secret)" == "<secret>" && String(reflecting: secret) == "<secret>")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("hunter2"))
    }

    @Test("the value is passed to expose only")
    func exposing() { #expect(Secret("hunter2").expose { $0.count } == 7) }
}
