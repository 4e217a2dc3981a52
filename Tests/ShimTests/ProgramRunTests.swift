import CLinux
import ShimProtocol
import Testing

@testable import Shim

@Suite("ProgramRun")
struct ProgramRunTests {
    private static func run(_ tree: FakeTree) -> ProgramRun { ProgramRun(tree: tree, isTerminal: true, stopGrace: 500) }

    @Test("a stop asks the program first and kills it after its grace period")
    func stop() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.stop(at: 100)
        #expect(tree.asks == 1 && tree.kills == 0 && run.killAt == 600)
        run.killIfOverdue(at: 599)
        #expect(tree.kills == 0)
        run.killIfOverdue(at: 600)
        #expect(tree.kills == 1 && run.endedBy == .stop && run.killAt == nil)
    }

    @Test("a second stop neither asks again nor extends the grace period")
    func stopTwice() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.stop(at: 100)
        run.stop(at: 400)
        #expect(tree.asks == 1 && run.killAt == 600)
    }

    @Test("a frozen program is killed at once")
    func frozen() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.stop(at: 0, isFrozen: true)
        #expect(tree.asks == 0 && tree.kills == 1)
    }

    @Test("where there is no process to ask, the tree is killed at once")
    func nobody() {
        let tree = FakeTree()
        tree.hasProcesses = false
        var run = Self.run(tree)
        run.stop(at: 0)
        #expect(tree.kills == 1 && run.endedBy == .stop)
    }

    @Test("the first reason to end it is the one that is recorded")
    func firstReason() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.end(.logQuota)
        run.end(.orphaned)
        #expect(run.endedBy == .logQuota && tree.kills == 1)
    }

    @Test("another reason during the grace period kills at once and stays a stop")
    func duringGrace() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.stop(at: 0)
        run.end(.orphaned)
        #expect(tree.kills == 1 && run.endedBy == .stop)
    }

    @Test("a program that has ended is neither asked nor killed")
    func afterExit() {
        let tree = FakeTree()
        var run = Self.run(tree)
        tree.end(code: 0)
        run.reap(at: 5)
        run.stop(at: 6)
        run.end(.orphaned)
        #expect(tree.asks == 0 && tree.kills == 0 && run.endedBy == .itself)
    }

    @Test("the end is seen once, at its time")
    func reap() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.reap(at: 1)
        #expect(!run.hasExited)
        tree.end(code: 3)
        run.reap(at: 2)
        run.reap(at: 9)
        #expect(run.exit?.code == 3 && run.exitSeenAt == 2)
    }

    @Test("the record has the program's status and usage")
    func record() {
        let tree = FakeTree()
        var run = Self.run(tree)
        tree.end(code: 3)
        run.reap(at: 1)
        let record = run.record()
        #expect(record.endedBy == .itself && record.code == 3 && record.maxRSSKiB == 3)
    }

    @Test("without an end of the program the record says that the host failed")
    func noEnd() {
        var run = Self.run(FakeTree())
        #expect({ run.record() }().endedBy == .hostFailed)
    }

    @Test("a program that was stopped is recorded as stopped")
    func stoppedRecord() {
        let tree = FakeTree()
        var run = Self.run(tree)
        run.stop(at: 0)
        tree.end(code: 1)
        run.reap(at: 1)
        #expect({ run.record() }().endedBy == .stop)
    }
}
