import Domain
import ShimProtocol
import Testing

@Suite("ShimFrame")
struct ShimFrameTests {
    static let frames: [ShimFrame] = [
        .hello(token: [1, 2, 3], epoch: .max), .input(id: 7, bytes: Array("text\r".utf8)),
        .resize(columns: 80, rows: 24), .stop,
        .reap, .watch(offset: 9), .keys(key: [1], names: ["Up", "C-c"]), .keys(key: [], names: []),
        .resized(columns: 132, rows: 43), .prompt(id: 1, text: [0x61]), .inputRefused(id: 2, reason: "no"),
        .welcome(launcherPID: 42, logLength: 1), .refused(reason: "no"), .written(id: 7),
        .output(offset: 3, bytes: [0, 255]), .viewLost, .message(key: [1], text: "é"), .freeze, .thaw,
        .follow(after: 3), .event(EventLog.Event(number: 1, time: 2, line: [3])), .done(count: 9),
        .receipt(MessageLedger.Receipt(key: [1], stage: .refused, offset: 7, reason: "no")),
        .exited(
            ExitRecord(endedBy: .itself, code: 3, signal: 0, logLength: 10, output: [1], errorOutput: [2], result: [3])),
    ]

    @Test("every frame survives its encoding, whole and byte by byte", arguments: frames)
    func roundTrip(frame: ShimFrame) throws {
        var buffer: [UInt8] = []
        for (index, byte) in frame.encoded.enumerated() {
            buffer.append(byte)
            let next = try ShimFrame.next(from: &buffer)
            #expect((next != nil) == (index == frame.encoded.count - 1))
            if let next { #expect(next == frame) }
        }
        #expect(buffer.isEmpty)
    }

    @Test("a frame that is too long, of an unknown kind, cut or padded is an error")
    func malformed() {
        let inputs: [[UInt8]] = [
            [0xff, 0xff, 0xff, 0xff, 1], [0, 0, 0, 1, 200], [0, 0, 0, 0], [0, 0, 0, 2, 4, 0], [0, 0, 0, 3, 2, 0, 0],
            [0, 0, 0, 9, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            // A receipt of a stage that does not exist; more keys than the frame has.
            [0, 0, 0, 18, 72, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 7, 12, 0, 0, 0, 0, 0, 1],
        ]
        for input in inputs {
            #expect(throws: DomainError.self) {
                var buffer = input
                _ = try ShimFrame.next(from: &buffer)
            }
        }
    }

    @Test("frames of one read come in their order")
    func several() throws {
        var buffer = ShimFrame.stop.encoded + ShimFrame.reap.encoded + [0]
        #expect(try ShimFrame.next(from: &buffer) == .stop)
        #expect(try ShimFrame.next(from: &buffer) == .reap)
        #expect(try ShimFrame.next(from: &buffer) == nil)
        #expect(buffer == [0])
    }

    @Test("a frame of the largest payload is accepted, a larger one closes the connection")
    func largest() throws {
        // Kind, id and the block's length take 13 bytes.
        var buffer = ShimFrame.input(id: 1, bytes: [UInt8](repeating: 1, count: ShimFrame.payloadLimit - 13)).encoded
        #expect(try ShimFrame.next(from: &buffer) != nil)
        buffer = ShimFrame.input(id: 1, bytes: [UInt8](repeating: 1, count: ShimFrame.payloadLimit - 12)).encoded
        #expect(throws: DomainError.self) { _ = try ShimFrame.next(from: &buffer) }
    }
}
