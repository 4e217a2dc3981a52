import Foundation
import ShimProtocol
import Testing

@testable import Shim

@Suite("TerminalSession")
struct TerminalSessionTests {
    private static func stages(_ pair: SocketPair) throws -> [MessageLedger.Stage] {
        try pair.frames().compactMap { if case .receipt(let receipt) = $0 { receipt.stage } else { nil } }
    }

    private static func refusal(_ pair: SocketPair) throws -> String? {
        for case .refused(let reason) in try pair.frames() { return reason }
        return nil
    }

    private static func isWelcome(_ pair: SocketPair) throws -> Bool {
        if case .welcome? = try pair.frames().first { true } else { false }
    }

    // MARK: - Connections

    @Test("who sends the token is welcomed, as owner or viewer")
    func welcome() async throws {
        try await SessionBench.with { bench in
            let pair = try bench.connect()
            #expect(try pair.frames() == [.welcome(launcherPID: 42, logLength: 0)])
            #expect(bench.session.clients.map(\.role) == [.viewer])
            _ = try bench.connect(epoch: 3)
            #expect(bench.session.clients.map(\.role) == [.viewer, .owner])
        }
    }

    @Test("a wrong token and a request before the token are refused")
    func refused() async throws {
        try await SessionBench.with { bench in
            let wrong = try bench.connect(token: [7, 8])
            #expect(try Self.refusal(wrong) == "the token is wrong")
            let early = try bench.connectStranger()
            early.send(.stop)
            bench.turn()
            #expect(try Self.refusal(early) != nil)
            #expect(bench.session.clients.isEmpty && bench.tree.asks == 0)
        }
    }

    @Test("an older epoch does not become the owner, a newer one replaces it")
    func epochs() async throws {
        try await SessionBench.with { bench in
            let first = try bench.connect(epoch: 2)
            let old = try bench.connect(epoch: 1)
            #expect(try Self.refusal(old) == "a newer owner has come")
            let second = try bench.connect(epoch: 3)
            #expect(try Self.refusal(first) == "a newer owner has come")
            #expect(try Self.isWelcome(second))
        }
    }

    @Test(
        "a viewer may not stop, type as the owner, or end the shim",
        arguments: [ShimFrame.stop, .reap, .input(id: 1, bytes: [])])
    func viewerRights(frame: ShimFrame) async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(frame)
            bench.turn()
            #expect(try Self.refusal(viewer) != nil)
            #expect(bench.tree.asks == 0)
        }
    }

    @Test("connections that never identify themselves are closed, and the owner still gets in")
    func strangers() async throws {
        try await SessionBench.with { bench in
            let idle = try (0..<40).map { _ in try bench.connectStranger() }
            bench.turn()
            #expect(bench.session.clients.count == ConnectionLimits.strangers)
            let owner = try bench.connect(epoch: 1)
            #expect(try Self.isWelcome(owner))
            bench.turn(after: 5001)
            #expect(bench.session.clients.map(\.role) == [.owner])
            withExtendedLifetime(idle) {}
        }
    }

    @Test("one viewer too many is refused, an owner never")
    func viewers() async throws {
        try await SessionBench.with { bench in
            let viewers = try (0..<ConnectionLimits.viewers).map { _ in try bench.connect() }
            let more = try bench.connect()
            #expect(try Self.refusal(more)?.contains("viewers") == true)
            let owner = try bench.connect(epoch: 1)
            #expect(try Self.isWelcome(owner))
            withExtendedLifetime(viewers) {}
        }
    }

    // MARK: - Output

    @Test("a watcher gets the output from its offset on, and what comes later")
    func watch() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            try bench.makeRaw()
            try bench.write("hello")
            viewer.send(.watch(offset: 2))
            bench.turn()
            try bench.write("!")
            bench.turn()
            let output = try viewer.frames().compactMap { frame -> [UInt8]? in
                if case .output(_, let bytes) = frame { bytes } else { nil }
            }
            #expect(output.flatMap { $0 } == Array("llo!".utf8))
        }
    }

    @Test("a program that passes its log's quota is ended")
    func quota() async throws {
        try await SessionBench.with(logQuota: 8) { bench in
            try bench.makeRaw()
            try bench.write("12345678")
            #expect(bench.tree.kills == 0)
            try bench.write("9")
            #expect(bench.tree.kills == 1 && bench.session.program.endedBy == .logQuota)
        }
    }

    // MARK: - Input

    @Test("a message's Enter is written when the program has read its text, and a moment later")
    func enterApart() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            try bench.makeRaw()
            viewer.send(.message(key: [1], text: "hello"))
            bench.turn()
            bench.turn(after: 1000)
            #expect(bench.reads("hello"))
            bench.turn()
            #expect(bench.read() == nil)
            bench.turn(after: 30)
            #expect(try Self.stages(viewer) == [.queued, .written])
            #expect(bench.reads("\r"))
            bench.turn()
            #expect(try Self.stages(viewer) == [.consumed])
        }
    }

    @Test("in line mode text and Enter are typed at once")
    func lineMode() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(.message(key: [1], text: "hello"))
            bench.turn()
            #expect(bench.reads("hello\n"))
        }
    }

    @Test("the kernel's echo of a message is not its answer")
    func kernelEcho() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(.message(key: [1], text: "hello"))
            bench.turn()
            #expect(bench.reads("hello\n"))
            for _ in 0..<100 where bench.session.recorder.length < 7 { bench.session.turn(milliseconds: 100) }
            #expect(try Self.stages(viewer) == [.queued, .written, .consumed])
            try bench.write("hello\n")
            #expect(try Self.stages(viewer) == [.answered])
        }
    }

    @Test("a message with a control character is refused by name, and nothing is typed")
    func controlCharacter() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            _ = try viewer.frames()
            viewer.send(.message(key: [1], text: "a\u{1b}[B"))
            bench.turn()
            let frames = try viewer.frames()
            guard case .receipt(let receipt)? = frames.first else {
                Issue.record("no receipt")
                return
            }
            #expect(receipt.stage == .refused && receipt.reason.contains("ESC (U+001B)"))
            #expect(bench.read() == nil)
        }
    }

    @Test("a prompt with a control character is refused by name")
    func promptWithControl() async throws {
        try await SessionBench.with { bench in
            let owner = try bench.connect(epoch: 1)
            _ = try owner.frames()
            owner.send(.prompt(id: 1, text: [0x61, 0x03]))
            bench.turn()
            #expect(
                try owner.frames() == [
                    .inputRefused(id: 1, reason: "the text contains the control character ETX (U+0003)")
                ])
        }
    }

    @Test("a message that is sent again is not typed again, and gets its receipt")
    func again() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            for _ in 0..<2 {
                viewer.send(.message(key: [1], text: "hello"))
                bench.turn()
            }
            #expect(bench.reads("hello\n"))
            #expect(bench.read() == nil)
        }
    }

    @Test("another message under the key of one before is refused, and not typed")
    func otherContent() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(.message(key: [1], text: "hello"))
            bench.turn()
            _ = try viewer.frames()
            for frame in [ShimFrame.message(key: [1], text: "other"), .message(key: [1], text: "\u{3}")] {
                viewer.send(frame)
                bench.turn()
                let stages = try viewer.frames().compactMap { frame in
                    if case .receipt(let receipt) = frame { receipt.stage } else { nil }
                }
                #expect(stages.contains(.refused))
            }
            #expect(bench.reads("hello\n") && bench.read() == nil)
        }
    }

    @Test("keys are pressed one read after another, by the mode of the cursor keys")
    func keys() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            try bench.makeRaw()
            try bench.write("\u{1b}[?1h")
            viewer.send(.keys(key: [1], names: ["Down", "Enter"]))
            bench.turn()
            #expect(bench.reads("\u{1b}OB"))
            bench.turn(after: 30)
            #expect(bench.reads("\r"))
        }
    }

    @Test("an unknown key is refused by name")
    func unknownKey() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            _ = try viewer.frames()
            viewer.send(.keys(key: [1], names: ["Nope"]))
            bench.turn()
            #expect(try Self.stages(viewer) == [.refused])
            #expect(bench.read() == nil)
        }
    }

    @Test("a line that line mode would cut is refused")
    func longLine() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(.message(key: [1], text: String(repeating: "a", count: 5000)))
            bench.turn()
            #expect(try Self.stages(viewer) == [.refused])
        }
    }

    @Test("an owner's prompt is confirmed when all of it is written")
    func prompt() async throws {
        try await SessionBench.with { bench in
            let owner = try bench.connect(epoch: 1)
            _ = try owner.frames()
            try bench.makeRaw()
            owner.send(.prompt(id: 1, text: Array("go".utf8)))
            bench.turn()
            #expect(try owner.frames().isEmpty)
            #expect(bench.reads("go"))
            bench.turn(after: 30)
            #expect(try owner.frames() == [.written(id: 1)])
        }
    }

    // MARK: - Queries

    @Test("a query is answered without any client, once, and the answer is not in the log")
    func query() async throws {
        try await SessionBench.with { bench in
            try bench.makeRaw()
            try bench.write("ab\u{1b}[6n")
            #expect(bench.reads("\u{1b}[1;3R"))
            bench.turn(after: 100)
            #expect(bench.read() == nil)
            #expect(bench.session.recorder.length == 6)
        }
    }

    @Test("a query that is split over two reads is answered")
    func splitQuery() async throws {
        try await SessionBench.with { bench in
            try bench.makeRaw()
            try bench.write("\u{1b}[?200")
            try bench.write("4$p")
            #expect(bench.reads("\u{1b}[?2004;2$y"))
        }
    }

    @Test("an answer goes between the text and its Enter, never into either")
    func answerBetween() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            try bench.makeRaw()
            viewer.send(.message(key: [1], text: "text"))
            bench.turn()
            try bench.write("\u{1b}[5n")
            #expect(bench.reads("text\u{1b}[0n"))
            bench.turn(after: 30)
            #expect(bench.reads("\r"))
        }
    }

    @Test("in line mode with echo an answer waits until the program can read it")
    func lateRaw() async throws {
        try await SessionBench.with { bench in
            try bench.write("\u{1b}[5n")
            bench.turn()
            #expect(bench.read() == nil)
            try bench.makeRaw()
            bench.turn()
            #expect(bench.reads("\u{1b}[0n"))
        }
    }

    @Test("a string that a program never ends hides no query after five seconds")
    func endlessString() async throws {
        try await SessionBench.with { bench in
            try bench.makeRaw()
            try bench.write("\u{1b}Pnever ends")
            bench.turn(after: 5001)
            try bench.write("\u{1b}[5n")
            #expect(bench.reads("\u{1b}[0n"))
        }
    }

    // MARK: - Size

    @Test("a viewer may resize the terminal; every client is notified, and the log's readers find the size")
    func resize() async throws {
        try await SessionBench.with { bench in
            let owner = try bench.connect(epoch: 1)
            let viewer = try bench.connect()
            try bench.makeRaw()
            try bench.write("abc")
            viewer.send(.resize(columns: 132, rows: 43))
            bench.turn()
            for pair in [owner, viewer] { #expect(try pair.frames().contains(.resized(columns: 132, rows: 43))) }
            try bench.write("\u{1b}[18t")
            #expect(bench.reads("\u{1b}[8;43;132t"))
            let file = try #require(FileManager.default.contents(atPath: "\(bench.directory)/sizes"))
            #expect(TerminalSizes(decoding: Array(file)).size(at: 3)?.columns == 132)
        }
    }

    @Test("a size out of bounds is refused")
    func impossibleSize() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(.resize(columns: 501, rows: 43))
            bench.turn()
            #expect(try Self.refusal(viewer)?.contains("expected 10 to 500 columns") == true)
        }
    }

    // MARK: - The end

    @Test("the owner's stop asks the program, and kills it after its grace period")
    func stop() async throws {
        try await SessionBench.with { bench in
            let owner = try bench.connect(epoch: 1)
            owner.send(.stop)
            bench.turn()
            #expect(bench.tree.asks == 1 && bench.tree.kills == 0)
            bench.turn(after: 100)
            #expect(bench.tree.kills == 1)
        }
    }

    @Test("without an owner the program is ended after the grace period")
    func orphaned() async throws {
        try await SessionBench.with { bench in
            bench.turn(after: 30_000)
            #expect(bench.tree.kills == 0)
            bench.turn(after: 1)
            #expect(bench.tree.kills == 1 && bench.session.program.endedBy == .orphaned)
        }
    }

    @Test("the exit record comes when the tree is gone, after the last byte, to the disk and to the owner")
    func exitRecord() async throws {
        try await SessionBench.with { bench in
            let owner = try bench.connect(epoch: 1)
            _ = try owner.frames()
            try bench.makeRaw()
            try bench.write("last bytes")
            bench.tree.isGone = false
            bench.tree.end(code: 3)
            bench.turn()
            bench.turn(after: 3000)
            #expect(try owner.frames().isEmpty)
            bench.tree.isGone = true
            bench.turn()
            let record = try #require(bench.session.record)
            #expect(record.code == 3 && record.logLength == 10)
            #expect(try owner.frames() == [.exited(record)])
            let file = try #require(FileManager.default.contents(atPath: "\(bench.directory)/exit"))
            #expect(try ExitRecord(decoding: Array(file)) == record)
        }
    }

    @Test("a message after the end is refused")
    func afterEnd() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            _ = try viewer.frames()
            bench.tree.end(code: 0)
            bench.turn()
            viewer.send(.message(key: [1], text: "hello"))
            bench.turn()
            #expect(try Self.stages(viewer) == [.refused])
        }
    }

    @Test("frozen processes are counted, and a failure to freeze is refused with what to do")
    func freeze() async throws {
        try await SessionBench.with { bench in
            let viewer = try bench.connect()
            viewer.send(.freeze, .thaw)
            bench.turn()
            #expect(try viewer.frames().suffix(2) == [.done(count: 3), .done(count: 3)])
            bench.tree.processCount = nil
            viewer.send(.freeze)
            bench.turn()
            #expect(try Self.refusal(viewer)?.contains("stop the agent instead") == true)
        }
    }
}
