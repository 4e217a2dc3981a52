import CLinux
import Foundation
import SystemPackage
import Testing

@testable import orchestra

@Suite("DescriptorPump")
struct DescriptorPumpTests {
    private func withPipe(_ body: (Int32, Int32) async throws -> Void) async throws {
        var ends: [Int32] = [-1, -1]
        let result = unsafe orc_pipe(&ends)
        try #require(result == 0)
        defer { close(ends[0]) }
        try await body(ends[0], ends[1])
    }

    @Test("bytes arrive whole and in their order, also more than a pipe holds, and nothing is the end")
    func whole() async throws {
        try await self.withPipe { reader, writer in
            let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            async let writing: Void = {
                defer { close(writer) }
                try await DescriptorPump().write(bytes, to: writer)
            }()
            var seen: [UInt8] = []
            while true {
                let part = try await DescriptorPump().next(from: reader)
                guard !part.isEmpty else { break }
                seen += part
            }
            try await writing
            #expect(seen == bytes)
        }
    }

    @Test("a task that waits for either side ends when it is cancelled")
    func cancelled() async throws {
        try await self.withPipe { reader, writer in
            defer { close(writer) }
            try await DescriptorPump().write([1], to: writer)
            let (began, begin) = AsyncStream<Void>.makeStream()
            let reading = Task {
                _ = try await DescriptorPump().next(from: reader)
                begin.finish()
                return try await DescriptorPump().next(from: reader)
            }
            for await _ in began {}
            reading.cancel()
            await #expect(throws: CancellationError.self) { try await reading.value }
            let writing = Task {
                try await DescriptorPump().write([UInt8](repeating: 1, count: 1 << 20), to: writer)
            }
            // It has begun once the pipe has something.
            _ = try await DescriptorPump().next(from: reader)
            writing.cancel()
            await #expect(throws: CancellationError.self) { try await writing.value }
        }
    }

    @Test("a descriptor that cannot be used is an error with its number")
    func unusable() async {
        await #expect(throws: Errno.badFileDescriptor) { try await DescriptorPump().write([1], to: 1_000_000) }
    }
}
