import Testing

@testable import ShimProtocol

@Suite("ShimFiles")
struct ShimFilesTests {
    @Test("the first part of a log has no offset in its name, every other has")
    func names() {
        #expect(ShimFiles.log(from: 0) == "output.log" && ShimFiles.log(from: 7) == "output.log.7")
        #expect(ShimFiles.timing(from: 7) == "output.timing.7")
    }

    @Test("the offset of a part is read from its name, and other files have none")
    func offsets() {
        #expect(ShimFiles.offset(ofLog: "output.log") == 0)
        #expect(ShimFiles.offset(ofLog: "output.log.4096") == 4096)
        for name in ["output.timing", "output.log.", "output.log.x", "output.logs", "s"] {
            #expect(ShimFiles.offset(ofLog: name) == nil)
        }
    }
}
