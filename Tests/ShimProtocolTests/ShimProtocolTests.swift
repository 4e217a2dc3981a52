import Domain
import ShimProtocol
import Testing

@Suite("The shim's protocol")
struct ShimProtocolTests {
    static let frames: [ShimFrame] = [
        .hello(token: [1, 2, 3], epoch: .max), .input(id: 7, bytes: Array("text\r".utf8)),
        .resize(columns: 80, rows: 24), .stop,
        .reap, .watch(offset: 9), .welcome(launcherPID: 42, logLength: 1), .refused(reason: "no"), .written(id: 7),
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
        ]
        for input in inputs {
            #expect(throws: DomainError.self) {
                var buffer = input
                _ = try ShimFrame.next(from: &buffer)
            }
        }
    }

    @Test("a launch file survives its encoding, and any cut of it is an error")
    func launchSpec() throws {
        let spec = LaunchSpec(
            mode: .command, executable: "/usr/bin/bwrap", arguments: [.text("--a"), .data([1, 2]), .statusDescriptor],
            command: [.text("/bin/true"), .text(""), .mappingDescriptor, .reportDescriptor],
            userMap: LaunchSpec.UserMap(
                userMapper: "/usr/bin/newuidmap", groupMapper: "/usr/bin/newgidmap",
                users: [LaunchSpec.Mapping(inside: 0, outside: 7, count: 1)], groups: []), token: [9], input: [0],
            ownerPID: -1)
        #expect(try LaunchSpec(decoding: spec.encoded) == spec)
        for length in 0..<spec.encoded.count {
            #expect(throws: DomainError.self) { try LaunchSpec(decoding: Array(spec.encoded.prefix(length))) }
        }
        #expect(throws: DomainError.self) { try LaunchSpec(decoding: spec.encoded + [0]) }
    }
}
