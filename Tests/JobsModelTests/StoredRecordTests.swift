import Domain
import Testing

@testable import Jobs

@Suite("StoredRecord")
struct StoredRecordTests {
    private static let record = StoredRecord(
        state: .completed, ended: 1_800_000_000_123, runTime: 4567, failures: 2, crashes: 1, reason: "because",
        action: "shell.run", node: "n1", tags: ["red", "blue"], result: [1, 2, 3])

    private func read(_ bytes: [UInt8]) -> StoredRecord? { StoredRecord(bytes: bytes[...]) }

    @Test("a record is read as it was written")
    func roundTrip() { #expect(self.read(Self.record.bytes) == Self.record) }

    @Test("an empty record is read as it was written", arguments: JobState.allCases)
    func empty(state: JobState) {
        let record = StoredRecord(state: state)
        #expect(self.read(record.bytes) == record)
    }

    @Test("each field lies where the functions in Redis look for it")
    func layout() {
        let record = StoredRecord(
            state: .discarded, ended: 0x0102_0304_0506, runTime: 0x0708_090a, failures: 11, crashes: 12, reason: "r",
            action: "ac", node: "n", tags: ["t"], terms: [8, 7], result: [9])
        #expect(
            record.bytes == [
                UInt8(ascii: "d"), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, UInt8(ascii: "r"), 2, UInt8(ascii: "a"),
                UInt8(ascii: "c"), 1, UInt8(ascii: "n"), 1, UInt8(ascii: "t"), 0, 2, 8, 7, 9,
            ])
    }

    @Test(
        "the letters of the states are those of the functions in Redis",
        arguments: [
            (JobState.scheduled, "s"), (.available, "a"), (.running, "R"), (.retryable, "r"), (.completed, "c"),
            (.cancelled, "x"), (.discarded, "d"), (.unresolved, "u"), (.lost, "l"),
        ])
    func letters(state: JobState, letter: String) {
        #expect(state.code == letter.utf8.first && JobState(code: state.code) == state)
    }

    @Test("another letter is no state", arguments: [UInt8(0), UInt8(ascii: "C"), UInt8(ascii: "z"), 255])
    func unknownLetter(code: UInt8) { #expect(JobState(code: code) == nil) }

    @Test("a record that is cut anywhere before its result is not read")
    func cut() {
        let bytes = Self.record.bytes
        for length in 0..<(bytes.count - 3) { #expect(self.read(Array(bytes.prefix(length))) == nil) }
    }

    @Test("counts of more than a byte, and times of more than their bytes, are their largest values")
    func clamped() {
        let record = StoredRecord(state: .completed, runTime: .max, failures: 300, crashes: 1000)
        let read = self.read(record.bytes)
        #expect(read?.runTime == UInt64(UInt32.max) && read?.failures == 255 && read?.crashes == 255)
    }

    @Test("a reason of any length within two bytes is kept", arguments: [0, 255, 256, 65_535])
    func reason(length: Int) {
        let record = StoredRecord(state: .discarded, reason: String(repeating: "x", count: length), result: [7])
        #expect(self.read(record.bytes) == record)
    }

    @Test("terms of any length within two bytes are kept", arguments: [0, 1, 255, 256, 65_535])
    func terms(length: Int) {
        let record = StoredRecord(
            state: .completed, tags: ["a"], terms: [UInt8](repeating: 9, count: length), result: [7])
        #expect(self.read(record.bytes) == record)
    }

    @Test("a longer reason is cut, and what follows it is kept")
    func longReason() {
        let record = StoredRecord(state: .discarded, reason: String(repeating: "x", count: 70_000), result: [7])
        let read = self.read(record.bytes)
        #expect(read?.reason.utf8.count == 65_535 && read?.result == [7])
    }

    // MARK: - Tags

    @Test("eight tags of the longest kind are kept whole")
    func longTags() {
        let tags = (0..<8).map { String(repeating: "abcdefgh"[$0], count: 63) }
        let record = StoredRecord(state: .available, action: "a.b", node: "n", tags: tags, result: [1, 2])
        #expect(self.read(record.bytes) == record)
    }

    @Test(
        "tags of every length about the end of a byte are kept whole",
        arguments: [
            190, 191, 192, 252, 253, 254, 255, 256, 257, 319,
        ])
    func tagLengths(total: Int) {
        var tags: [String] = []
        var rest = total
        while rest > 0 {
            let length = min(63, rest)
            tags.append(String(repeating: "t", count: length))
            rest -= length + 1
        }
        let record = StoredRecord(state: .available, tags: tags, result: [0, 1, 255])
        #expect(self.read(record.bytes) == record)
    }

    @Test("more tags than a job may have are cut between two of them")
    func tooManyTags() {
        let tags = (0..<20).map { _ in String(repeating: "t", count: 63) }
        let read = self.read(StoredRecord(state: .available, tags: tags, result: [5]).bytes)
        #expect(read?.tags == Array(tags.prefix(8)) && read?.result == [5])
    }

    // MARK: - What submissions and completions leave

    @Test("a completion's record is that of its end, and has not ended before the queue says when")
    func ofCompletion() throws {
        let workspace = try WorkspaceID("acme")
        let delivery = Delivery(
            workspace: workspace, jobID: nil,
            entry: EntryReference(workspace: workspace, priority: .normal, id: EntryID(milliseconds: 1, sequence: 0)),
            envelope: [], crashes: 0, failures: 0, isRecovered: false)
        let completion = Completion(
            delivery: delivery, end: .retry(after: .seconds(1)), action: "shell.run", tags: [try JobTag("red")],
            runTime: .milliseconds(1500), failures: 1, crashes: 2, reason: "x", sealedResult: [1])
        #expect(
            StoredRecord(completion, node: try NodeID("n1"))
                == StoredRecord(
                    state: .retryable, runTime: 1500, failures: 1, crashes: 2, reason: "x", action: "shell.run",
                    node: "n1", tags: ["red"], result: [1]))
    }

    @Test(
        "each end leaves its state",
        arguments: [
            (Completion.End.completed, JobState.completed), (.cancelled, .cancelled), (.discarded, .discarded),
            (.unresolved, .unresolved), (.retry(after: .zero), .retryable), (.released, .available),
        ])
    func states(end: Completion.End, state: JobState) { #expect(end.state == state) }

    @Test("for people a job with a runner is running, and its tries are the larger ones")
    func shown() {
        let id = JobID(milliseconds: 1, randomHigh: 0, randomLow: 0)
        let record = StoredRecord(state: .available, failures: 1, crashes: 4)
        let shown = record.jobRecord(id: id, runner: "n2", failures: 3, crashes: 2, progress: nil)
        #expect(shown.state == .running && shown.node == "n2" && shown.failures == 3 && shown.crashes == 4)
    }

    @Test("the start is the end without the run time, and none for a job that no node ended")
    func startedAt() {
        let id = JobID(milliseconds: 1, randomHigh: 0, randomLow: 0)
        func start(_ record: StoredRecord) -> UInt64 {
            record.jobRecord(id: id, runner: "", failures: 0, crashes: 0, progress: nil).startedAt
        }
        #expect(start(StoredRecord(state: .completed, ended: 5000, runTime: 1200, node: "n1")) == 3800)
        #expect(start(StoredRecord(state: .completed, ended: 5000, runTime: 9000, node: "n1")) == 0)
        #expect(start(StoredRecord(state: .cancelled, ended: 5000, runTime: 1200)) == 0)
        #expect(start(StoredRecord(state: .available, runTime: 1200, node: "n1")) == 0)
    }
}

extension String {
    /// The character at this place.
    fileprivate subscript(_ index: Int) -> Character { self[self.index(self.startIndex, offsetBy: index)] }
}
