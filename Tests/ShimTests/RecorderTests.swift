import Foundation
import ShimProtocol
import TestSupport
import Testing

@testable import Shim

@Suite("Recorder")
struct RecorderTests {
    private static let segment = 64 * 1024

    private static func files(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("output.log") }.sorted()
    }

    @Test("every byte is read back from its offset")
    func bytes() async throws {
        try await withDirectory { directory in
            var recorder = try #require(Recorder(directory: directory, start: 0, ringQuota: nil))
            recorder.append([1, 2, 3], at: 0)
            recorder.append([4], at: 5)
            #expect(recorder.length == 4)
            #expect(recorder.read(from: 1, limit: 2).bytes == [2, 3])
            #expect(recorder.read(from: 4, limit: 2).bytes == [])
            #expect(recorder.read(from: 9, limit: 2).bytes == [])
        }
    }

    @Test("bytes that came within ten milliseconds share a time")
    func timing() async throws {
        try await withDirectory { directory in
            var recorder = try #require(Recorder(directory: directory, start: 100, ringQuota: nil))
            recorder.append([1], at: 100)
            recorder.append([2, 3], at: 109)
            recorder.append([4], at: 150)
            recorder.finish()
            let bytes = try #require(FileManager.default.contents(atPath: directory + "/output.timing"))
            let pairs = LogTiming.pairs(Array(bytes))
            #expect(pairs.map(\.milliseconds) == [0, 50] && pairs.map(\.count) == [3, 1])
        }
    }

    @Test("a ring keeps the newest output, and drops whole segments of the oldest")
    func ring() async throws {
        try await withDirectory { directory in
            var recorder = try #require(Recorder(directory: directory, start: 0, ringQuota: UInt64(4 * Self.segment)))
            for number in 0..<10 {
                recorder.append([UInt8](repeating: UInt8(number), count: Self.segment), at: 0)
            }
            #expect(recorder.length == UInt64(10 * Self.segment))
            #expect(recorder.start > 0 && recorder.length - recorder.start >= UInt64(3 * Self.segment))
            #expect(recorder.length - recorder.start <= UInt64(5 * Self.segment))
            #expect(try Self.files(directory).count <= 6)
            #expect(!(try Self.files(directory).contains("output.log")))
        }
    }

    @Test("a reader of what is dropped gets the first that is kept, and where that is")
    func dropped() async throws {
        try await withDirectory { directory in
            var recorder = try #require(Recorder(directory: directory, start: 0, ringQuota: UInt64(2 * Self.segment)))
            for number in 0..<6 { recorder.append([UInt8](repeating: UInt8(number), count: Self.segment), at: 0) }
            let (place, bytes) = recorder.read(from: 0, limit: 1)
            #expect(place == recorder.start)
            #expect(bytes == [UInt8(place / UInt64(Self.segment))])
        }
    }

    @Test("a read ends with its segment, and the next begins the following one")
    func acrossSegments() async throws {
        try await withDirectory { directory in
            var recorder = try #require(Recorder(directory: directory, start: 0, ringQuota: UInt64(8 * Self.segment)))
            recorder.append([UInt8](repeating: 1, count: Self.segment), at: 0)
            recorder.append([2, 2], at: 0)
            let end = UInt64(Self.segment)
            #expect(recorder.read(from: end - 1, limit: 10).bytes == [1])
            #expect(recorder.read(from: end, limit: 10).bytes == [2, 2])
        }
    }

    @Test("without a directory there is no recorder")
    func missing() {
        #expect(Recorder(directory: "/nonexistent", start: 0, ringQuota: nil) == nil)
    }
}
