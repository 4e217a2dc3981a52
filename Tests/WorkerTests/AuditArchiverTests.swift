import Testing

@testable import Worker

@Suite("The archiver's pace")
struct AuditArchiverTests {
    @Test("jobs go first while the archive is close behind, and the archive when it is not")
    func rest() {
        #expect(AuditArchiver.rest(after: 20, lag: 0) == .milliseconds(180))
        #expect(AuditArchiver.rest(after: 20, lag: 1.9) == .milliseconds(180))
        #expect(AuditArchiver.rest(after: 20, lag: 2) == .milliseconds(60))
        #expect(AuditArchiver.rest(after: 20, lag: 10) == .zero)
        #expect(AuditArchiver.rest(after: 0, lag: 0) == .zero)
        // A disk that hung must not make it hang longer.
        #expect(AuditArchiver.rest(after: .max, lag: 0) == .seconds(9))
    }

    @Test("Redis reads little at a time for an archive that is close behind")
    func batches() {
        #expect(AuditArchiver.entriesABatch(lag: 1.9) == 64 && AuditArchiver.entriesABatch(lag: 2) == 500)
    }
}
