import Testing

@testable import Sandboxing

@Suite("SandboxReport")
struct SandboxReportTests {
    private static func text(_ tier: SandboxTier, without missing: String? = nil, broken: String? = nil) -> String {
        SandboxReport.names(of: tier).filter { $0 != missing }
            .map { "\($0)\t\($0 == broken ? "no" : "ok")\tdetail\n" }.joined()
    }

    @Test(
        "a tier holds when every layer of it reported and holds",
        arguments: [SandboxTier.landlock, .namespaces, .ownUser])
    func holds(tier: SandboxTier) { #expect(SandboxReport(Self.text(tier)).holds(tier)) }

    @Test("a layer that does not report does not hold", arguments: SandboxReport.names(of: .ownUser).sorted())
    func silent(layer: String) { #expect(!SandboxReport(Self.text(.ownUser, without: layer)).holds(.ownUser)) }

    @Test("one broken layer breaks the tier", arguments: SandboxReport.names(of: .ownUser).sorted())
    func broken(layer: String) { #expect(!SandboxReport(Self.text(.ownUser, broken: layer)).holds(.ownUser)) }

    @Test("what is not a layer's line is left out, and details are made printable")
    func malformed() {
        let report = SandboxReport("nonsense\na\tok\nfilter\tok\tx\u{1b}[2J\n\n")
        #expect(report.layers.map(\.name) == ["filter"])
        #expect(report.layers.first?.detail.contains("\u{1b}") == false)
    }

    @Test("no output at all holds nothing")
    func empty() { #expect(!SandboxReport("").holds(.landlock)) }

    @Test("each tier demands at least what the one below demands, but for Landlock alone")
    func order() {
        #expect(SandboxReport.names(of: .ownUser).isSuperset(of: SandboxReport.names(of: .namespaces)))
        #expect(SandboxTier.allCases == SandboxTier.allCases.sorted())
    }
}
