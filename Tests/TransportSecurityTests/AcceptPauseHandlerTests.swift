import Foundation
import NIOCore
import NIOEmbedded
import Testing

@testable import TransportSecurity

@Suite("AcceptPauseHandler")
struct AcceptPauseHandlerTests {
    /// The values that were set for reading on the channel; empty before the first.
    private static func reads(_ channel: EmbeddedChannel) -> [Bool] {
        channel.options.compactMap { $0.value as? Bool }
    }

    @Test(
        "without descriptors or memory accepting pauses for a second, and the error ends nothing",
        arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func shortage(code: Int32) throws {
        let channel = EmbeddedChannel(handler: AcceptPauseHandler())
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        try channel.throwIfErrorCaught()
        #expect(Self.reads(channel) == [false])
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(999))
        #expect(Self.reads(channel) == [false])
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(Self.reads(channel) == [true])
    }

    @Test("another error goes on and pauses nothing")
    func others() {
        let channel = EmbeddedChannel(handler: AcceptPauseHandler())
        channel.pipeline.fireErrorCaught(IOError(errnoCode: EBADF, reason: "accept"))
        #expect(throws: IOError.self) { try channel.throwIfErrorCaught() }
        #expect(Self.reads(channel).isEmpty)
    }
}
