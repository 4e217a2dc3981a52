import Domain
import Testing

@testable import Worker

/// What a node holds, but for the slots that its lanes share.
@Suite("Holdings")
struct HoldingsTests {
    private func delivery(_ number: UInt64, workspace: String = "acme", job: UInt64? = nil) throws -> Delivery {
        let workspace = try WorkspaceID(workspace)
        return Delivery(
            workspace: workspace, jobID: JobID(milliseconds: 1, randomHigh: 0, randomLow: job ?? number),
            entry: EntryReference(
                workspace: workspace, priority: .normal, id: EntryID(milliseconds: number, sequence: 0)),
            envelope: [], crashes: 0, failures: 0, isRecovered: false)
    }

    private func jobID(_ number: UInt64) -> JobID { JobID(milliseconds: 1, randomHigh: 0, randomLow: number) }

    @Test("deliveries are held from their admission to their release")
    func admitAndRelease() throws {
        var holdings = Holdings(capacity: 10)
        let deliveries = [try self.delivery(1), try self.delivery(2)]
        let fresh = holdings.admit(deliveries)
        #expect(fresh == deliveries && holdings.count == 2)
        holdings.release(deliveries.map(\.entry))
        #expect(holdings.count == 0)
    }

    @Test("a delivery that is held already is not new")
    func admitTwice() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        let fresh = holdings.admit([try self.delivery(1), try self.delivery(2)])
        #expect(try fresh == [self.delivery(2)] && holdings.count == 2)
    }

    @Test("a delivery that occurs twice in one answer is new once")
    func repeatedInAnswer() throws {
        var holdings = Holdings(capacity: 10)
        let fresh = holdings.admit([try self.delivery(1), try self.delivery(1)])
        #expect(fresh.count == 1 && holdings.count == 1)
    }

    @Test("to release what is not held changes nothing")
    func releaseUnknown() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        holdings.release([try self.delivery(2).entry])
        #expect(holdings.count == 1 && holdings.countsByWorkspace.values.sorted() == [1])
    }

    @Test("what is held is counted by workspace, and a workspace without any is not listed")
    func counts() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([
            try self.delivery(1), try self.delivery(2), try self.delivery(3, workspace: "other"),
        ])
        #expect(try holdings.countsByWorkspace == [WorkspaceID("acme"): 2, WorkspaceID("other"): 1])
        holdings.release([try self.delivery(1).entry, try self.delivery(3, workspace: "other").entry])
        #expect(try holdings.countsByWorkspace == [WorkspaceID("acme"): 1])
    }

    @Test("free slots are those that are not held, and never fewer than none")
    func free() throws {
        var holdings = Holdings(capacity: 2)
        #expect(holdings.free == 2)
        _ = holdings.admit([try self.delivery(1)])
        #expect(holdings.free == 1)
        // What an earlier life held is admitted whatever the capacity.
        _ = holdings.admit([try self.delivery(2), try self.delivery(3)])
        #expect(holdings.free == 0)
    }

    @Test("entries are listed by their workspaces")
    func entries() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1), try self.delivery(2, workspace: "other")])
        #expect(try holdings.entries { $0.name == "other" } == [self.delivery(2, workspace: "other").entry])
        #expect(holdings.entries { _ in false }.isEmpty)
    }

    // MARK: - Reconciliation

    @Test("what was released since the question was asked is not taken for new")
    func releasedMeanwhile() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        let question = holdings.beginReconciliation()
        holdings.release([try self.delivery(1).entry])
        let fresh = holdings.admit([try self.delivery(1), try self.delivery(2)], answering: question)
        #expect(try fresh == [self.delivery(2)])
    }

    @Test("what was released before the question was asked is new")
    func releasedBefore() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        holdings.release([try self.delivery(1).entry])
        let question = holdings.beginReconciliation()
        let fresh = holdings.admit([try self.delivery(1)], answering: question)
        #expect(fresh.count == 1)
    }

    @Test("questions that overlap each remember what was released since they were asked")
    func overlapping() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1), try self.delivery(2)])
        let first = holdings.beginReconciliation()
        holdings.release([try self.delivery(1).entry])
        let second = holdings.beginReconciliation()
        holdings.release([try self.delivery(2).entry])
        let both = [try self.delivery(1), try self.delivery(2)]
        let byFirst = holdings.admit(both, answering: first)
        #expect(byFirst.isEmpty)
        let bySecond = holdings.admit(both, answering: second)
        #expect(try bySecond == [self.delivery(1)])
    }

    @Test("an abandoned question remembers nothing")
    func abandoned() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        let question = holdings.beginReconciliation()
        holdings.release([try self.delivery(1).entry])
        holdings.abandon(question)
        let fresh = holdings.admit([try self.delivery(1)], answering: question)
        #expect(fresh.count == 1)
    }

    @Test("an answer is used once")
    func answeredOnce() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        let question = holdings.beginReconciliation()
        holdings.release([try self.delivery(1).entry])
        _ = holdings.admit([], answering: question)
        let fresh = holdings.admit([try self.delivery(1)], answering: question)
        #expect(fresh.count == 1)
    }

    // MARK: - Cancellation

    @Test("a run begins unless something was said against it")
    func noRefusal() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        #expect(try holdings.refusal(of: self.delivery(1).entry) == nil)
    }

    @Test("a run of what is not held must not begin: the lease is lost")
    func refusalOfUnknown() throws {
        #expect(try Holdings(capacity: 10).refusal(of: self.delivery(1).entry) == .leaseLost)
    }

    @Test("a cancelled job does not begin, and every entry of it is named")
    func cancelJob() throws {
        var holdings = Holdings(capacity: 10)
        let entries = [try self.delivery(1, job: 7), try self.delivery(2, job: 7)]
        _ = holdings.admit(entries + [try self.delivery(3, job: 8)])
        let ended = holdings.cancel(self.jobID(7), .user)
        #expect(Set(ended) == Set(entries.map(\.entry)))
        #expect(holdings.refusal(of: entries[0].entry) == .user)
        #expect(try holdings.refusal(of: self.delivery(3).entry) == nil)
    }

    @Test("a job is cancelled once, and its first reason stays")
    func cancelTwice() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        _ = holdings.cancel(self.jobID(1), .user)
        let again = holdings.cancel(self.jobID(1), .security)
        #expect(try again.isEmpty && holdings.refusal(of: self.delivery(1).entry) == .user)
    }

    @Test("a job that is not held is not cancelled")
    func cancelUnknown() {
        var holdings = Holdings(capacity: 10)
        let ended = holdings.cancel(self.jobID(1), .user)
        #expect(ended.isEmpty)
    }

    @Test("a workspace's cancellation names all that is held of it and was not cancelled")
    func cancelWorkspace() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([
            try self.delivery(1), try self.delivery(2), try self.delivery(3, workspace: "other"),
        ])
        _ = holdings.cancel(self.jobID(1), .user)
        let ended = holdings.cancel(try WorkspaceID("acme"), .security)
        #expect(try ended == [self.delivery(2).entry])
        #expect(try holdings.refusal(of: self.delivery(3, workspace: "other").entry) == nil)
    }

    @Test("a cancellation ends with the release: the entry may be delivered again")
    func cancelThenRelease() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        _ = holdings.cancel(self.jobID(1), .user)
        holdings.release([try self.delivery(1).entry])
        _ = holdings.admit([try self.delivery(1)])
        #expect(try holdings.refusal(of: self.delivery(1).entry) == nil)
    }

    // MARK: - Lost leases

    @Test("what the queue does not know of what was asked is lost")
    func dropLost() throws {
        var holdings = Holdings(capacity: 10)
        let entries = [try self.delivery(1), try self.delivery(2)]
        _ = holdings.admit(entries)
        let lost = holdings.dropLost(asked: Set(entries.map(\.entry)), known: [entries[0].entry])
        #expect(lost == [entries[1].entry])
        #expect(holdings.refusal(of: entries[0].entry) == nil)
        #expect(holdings.refusal(of: entries[1].entry) == .leaseLost)
    }

    @Test("what came after the question was asked is not lost")
    func cameLater() throws {
        var holdings = Holdings(capacity: 10)
        _ = holdings.admit([try self.delivery(1)])
        let lost = holdings.dropLost(asked: [], known: [])
        #expect(try lost.isEmpty && holdings.refusal(of: self.delivery(1).entry) == nil)
    }

    @Test("what was released before the answer came is not lost")
    func releasedBeforeAnswer() throws {
        var holdings = Holdings(capacity: 10)
        let entry = try self.delivery(1).entry
        _ = holdings.admit([try self.delivery(1)])
        holdings.release([entry])
        let lost = holdings.dropLost(asked: [entry], known: [])
        #expect(lost.isEmpty)
    }

    @Test("a lost lease outranks an earlier reason")
    func lostAfterCancel() throws {
        var holdings = Holdings(capacity: 10)
        let entry = try self.delivery(1).entry
        _ = holdings.admit([try self.delivery(1)])
        _ = holdings.cancel(self.jobID(1), .user)
        let lost = holdings.dropLost(asked: [entry], known: [])
        #expect(lost == [entry] && holdings.refusal(of: entry) == .leaseLost)
    }

    @Test("what is lost stays held until its run has ended")
    func lostIsHeld() throws {
        var holdings = Holdings(capacity: 10)
        let entry = try self.delivery(1).entry
        _ = holdings.admit([try self.delivery(1)])
        _ = holdings.dropLost(asked: [entry], known: [])
        #expect(holdings.count == 1)
    }
}
