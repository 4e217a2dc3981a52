import Testing

@testable import ShimProtocol

@Suite("ShimProgress")
struct ShimProgressTests {
    @Test("a line of progress has a percentage and may have a text")
    func parsed() {
        let progress = ShimProgress.parse("progress 42 copying files")
        #expect(progress?.percent == 42 && progress?.text == "copying files")
        #expect(ShimProgress.parse("progress 0")?.text == "")
    }

    @Test(
        "what is not a percentage from 0 to 100 is not progress",
        arguments: ["progress", "progress x", "progress 101", "progress -1", "orchestra-shim: error", ""])
    func refused(line: String) {
        #expect(ShimProgress.parse(line) == nil)
    }
}
