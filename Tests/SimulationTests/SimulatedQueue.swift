import Domain

@testable import Jobs
@testable import JobsModel

/// One lane's queue: what a Redis server decides, its clock, and what its clients and the audit trail know of it.
final class SimulatedQueue {
    let lane: Int
    var machine: QueueMachine
    var ledger: Ledger
    /// Calls that arrive earlier are carried out at this time.
    var stalledUntil: UInt64 = 0
    /// How much its clock differs from the simulation's, in milliseconds.
    var clockOffset: Int64 = 0
    var snapshot: QueueMachine?
    /// Whether something happened to it since the last check.
    var needsCheck = false
    private var lastBell: UInt64 = 0
    private var cancellationsRead = 0
    /// The homes at the last check.
    private var homes: [WorkspaceID: String] = [:]
    private let limits: QueueLimits

    static let lease = Duration.seconds(5)

    init(lane: Int, ledger: Ledger, homes: HomePolicy) {
        self.lane = lane
        self.ledger = ledger
        self.limits = QueueLimits(
            retention: .seconds(30 * 86_400), streamLength: 1000, lease: Self.lease, homes: homes)
        self.machine = Self.empty(ledger, self.limits)
    }

    private static func empty(_ ledger: Ledger, _ limits: QueueLimits) -> QueueMachine {
        var machine = QueueMachine(limits: limits)
        for (workspace, limits) in ledger.limits { machine.setLimits(limits, of: workspace, auditEvent: []) }
        return machine
    }

    /// The queue loses what it knew since the snapshot was made, or everything without one.
    func lose(keeping snapshot: QueueMachine?) {
        self.machine = snapshot ?? Self.empty(self.ledger, self.limits)
        self.homes = self.currentHomes
        self.ledger.lost()
        self.lastBell = 0
        self.cancellationsRead = min(self.cancellationsRead, self.machine.control.count)
        self.needsCheck = true
    }

    /// Whether the bell rang since this was asked before.
    func takeRing() -> Bool {
        guard self.machine.wakeUps != self.lastBell else { return false }
        self.lastBell = self.machine.wakeUps
        return true
    }

    /// Jobs whose nodes are to cancel them, each once.
    func takeCancellations() -> ArraySlice<JobID> {
        defer { self.cancellationsRead = self.machine.control.count }
        return self.machine.control.dropFirst(self.cancellationsRead)
    }

    /// Whether `moveDue` would change something now.
    func isMoveDue(at now: UInt64) -> Bool {
        !self.machine.due.isEmpty || !self.machine.parked.isEmpty || now + 1000 < self.machine.clock
            || self.machine.endsHome(at: now)
    }

    private var currentHomes: [WorkspaceID: String] {
        self.machine.homes.filter(\.value.isHome).mapValues(\.node)
    }

    /// Throws when a workspace lost its home although the node was there, or away for less than the policy allows.
    func checkHomes(at now: UInt64) throws {
        let current = self.currentHomes
        defer { self.homes = current }
        for (workspace, home) in self.homes where current[workspace] != home {
            let isAllowed =
                switch self.limits.homes {
                case .shared, .wait: false
                case .move(let time):
                    current[workspace] == nil && self.machine.nodes[home] == nil
                        && now - min(now, self.machine.away[home] ?? 0) >= UInt64(time.milliseconds)
                }
            guard isAllowed else {
                throw Simulation.Violation(
                    description: "\(workspace) lost its home \(home)\(current[workspace].map { " to \($0)" } ?? "")")
            }
        }
    }

    /// Whether a claim of the node would find work now; nothing changes by this question.
    func hasWork(for node: NodeIdentity, holding counts: [WorkspaceID: Int], share: Int, at now: UInt64) -> Bool {
        guard self.machine.depth > 0 else { return false }
        var copy = self.machine
        let request = ClaimRequest(most: 1, quantum: 1, share: share, held: counts, number: .max)
        do {
            let claim = try copy.claim(request, as: node, at: now)
            return !claim.deliveries.isEmpty || claim.dropped > 0
        } catch {
            // The queue does not know the node: it must join again first.
            return false
        }
    }
}
