import Domain
import Testing

@testable import ShimProtocol

@Suite("ExitRecord")
struct ExitRecordTests {
    private static let record = ExitRecord(
        endedBy: .stop, code: -1, signal: 9, userMicroseconds: 1, systemMicroseconds: 2, maxRSSKiB: 3, logLength: 4,
        output: [1], errorOutput: [2, 3], result: [])

    @Test("a record survives its encoding, and any cut of it is an error")
    func roundTrip() throws {
        let bytes = Self.record.encoded
        #expect(try ExitRecord(decoding: bytes) == Self.record)
        for length in 0..<bytes.count {
            #expect(throws: DomainError.self) { try ExitRecord(decoding: Array(bytes.prefix(length))) }
        }
        #expect(throws: DomainError.self) { try ExitRecord(decoding: bytes + [0]) }
    }

    @Test("a record of an unknown version or end is refused")
    func unknown() {
        var bytes = Self.record.encoded
        bytes[0] = 200
        #expect(throws: DomainError.self) { try ExitRecord(decoding: bytes) }
        bytes = Self.record.encoded
        bytes[1] = 200
        #expect(throws: DomainError.self) { try ExitRecord(decoding: bytes) }
    }

    @Test("only a program that ended by itself with status 0 is a success")
    func success() {
        #expect(ExitRecord(endedBy: .itself, code: 0, signal: 0).isSuccess)
        #expect(!ExitRecord(endedBy: .itself, code: 1, signal: 0).isSuccess)
        #expect(!ExitRecord(endedBy: .stop, code: 0, signal: 0).isSuccess)
    }

    @Test("a program that was ended from outside is cut off, one that was never launched is not")
    func cutOff() {
        for end in [ExitRecord.EndedBy.stop, .orphaned, .logQuota, .logFailed] {
            #expect(ExitRecord(endedBy: end, code: 0, signal: 0).isCutOff)
        }
        #expect(!ExitRecord(endedBy: .launchFailed, code: -1, signal: 0).isCutOff)
        #expect(ExitRecord(endedBy: .itself, code: -1, signal: 9).isCutOff)
        #expect(!ExitRecord(endedBy: .itself, code: 3, signal: 0).isCutOff)
    }
}
