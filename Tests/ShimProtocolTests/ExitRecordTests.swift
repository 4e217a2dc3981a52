import Domain
import ShimProtocol
import Testing

@Suite("ExitRecord")
struct ExitRecordTests {
    private static func ended(_ code: Int32, signal: Int32 = 0) -> ExitRecord {
        ExitRecord(endedBy: .itself, code: code, signal: signal)
    }

    @Test("a status above 128 is a status, not a signal", arguments: [129, 137, 255] as [Int32])
    func highStatus(code: Int32) {
        let record = Self.ended(code)
        #expect(record.summary == "it ended with status \(code)" && !record.isCutOff)
    }

    @Test("a signal is named only where there was one")
    func signal() {
        let record = Self.ended(128 + 15, signal: 15)
        #expect(record.summary == "it was ended by signal 15" && record.isCutOff)
    }

    @Test("the launcher's end is not the program's")
    func launcher() { #expect(Self.ended(-1, signal: 9).summary == "its launcher was ended by signal 9") }

    @Test("a program that the memory limit ended says so")
    func memoryLimit() {
        var record = Self.ended(137, signal: 9)
        (record.memoryWatch, record.memoryKills) = (.counted, 1)
        #expect(record.summary == "it was ended because its sandbox reached its memory limit")
    }

    @Test("without a control group nothing is claimed about memory")
    func unknownKill() {
        #expect(Self.ended(137, signal: 9).summary.contains("it is not known whether memory was the reason"))
        var record = Self.ended(137, signal: 9)
        record.memoryWatch = .counted
        #expect(record.summary == "it was ended by signal 9")
    }

    @Test("a status says when the memory limit ended other processes of the tree")
    func otherKills() {
        var record = Self.ended(1)
        (record.memoryWatch, record.memoryKills) = (.counted, 2)
        #expect(
            record.summary.hasPrefix("it ended with status 1;") && record.summary.contains("ended 2 of its processes"))
        #expect(!record.isCutOff)
    }

    @Test("what never ran was not cut off", arguments: [ExitRecord.EndedBy.launchFailed, .hostFailed])
    func neverRan(endedBy: ExitRecord.EndedBy) {
        let record = ExitRecord(endedBy: endedBy, code: 1, signal: 0)
        #expect(!record.isCutOff && !record.isSuccess)
    }

    @Test("a record survives its encoding, and any cut of it is an error")
    func roundTrip() throws {
        var record = ExitRecord(
            endedBy: .stop, code: 143, signal: 15, userMicroseconds: 1, systemMicroseconds: 2, maxRSSKiB: 3,
            logLength: 4, output: [5], errorOutput: [6], result: [7])
        (record.outputLeftOut, record.errorOutputLeftOut) = (8, 9)
        (record.memoryWatch, record.memoryKills) = (.counted, 10)
        #expect(try ExitRecord(decoding: record.encoded) == record)
        for length in 0..<record.encoded.count {
            #expect(throws: DomainError.self) { try ExitRecord(decoding: Array(record.encoded.prefix(length))) }
        }
    }

    @Test("a record of the version before, left on disk by an earlier node, is still read")
    func versionOne() throws {
        let record = ExitRecord(endedBy: .itself, code: 3, signal: 0, output: [1, 2])
        // What version 2 added: two counts of eight bytes, one byte, one count of four.
        let old = [1] + record.encoded.dropFirst().dropLast(21)
        #expect(try ExitRecord(decoding: Array(old)) == record)
    }
}
