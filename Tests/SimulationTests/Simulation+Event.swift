import Domain

@testable import Jobs
@testable import Worker

extension Simulation {
    /// One lane of one life of a node.
    struct Caller: Hashable {
        let node: Int
        let lane: Int
        let life: UInt64
    }

    /// One run of an entry. A node may run an entry again after its lease was lost.
    struct Run: Hashable {
        let node: Int
        let life: UInt64
        let entry: EntryReference
        let number: UInt64
    }

    enum Event {
        case submit(Int)
        case cancel(JobID, WorkspaceID)
        /// A person found out what became of a job whose outcome is unknown.
        case resolve(JobID, WorkspaceID)
        /// A call arrives at the queue; `isAnswered` is false when its answer is lost.
        case arrive(Caller, Call, number: UInt64, isAnswered: Bool)
        case answer(Caller, Call, number: UInt64, Answer)
        case wake(Caller, Wake)
        case effect(Run, JobID)
        case runEnds(Run)
        case start(Int)
        case kill(Int)
        /// The node is killed and does not come back.
        case vanish(Int)
        /// The node's process is stopped for a time, in milliseconds.
        case suspend(Int, UInt64)
        case drain(Int)
        /// The node may claim nothing for a time, though its queues answer.
        case pause(Int, UInt64)
        /// A lane's consumer ends and is restarted later.
        case endConsumer(node: Int, lane: Int, restartAfter: UInt64)
        case stall(lanes: Range<Int>, UInt64)
        /// A queue's clock is set, forward or back.
        case setClock(lanes: Range<Int>, Int64)
        case snapshot(lanes: Range<Int>)
        case setBack(lanes: Range<Int>)
        case empty(lanes: Range<Int>)
    }

    enum Call {
        case join
        /// Without a reconciliation it is the lease keeper's question, with one the consumer's.
        case held(Holdings.Reconciliation?, asked: Set<EntryReference>, fence: UInt64)
        case claim(ClaimRequest)
        case renew(asked: Set<EntryReference>, sentAt: Duration)
        case moveDue
        case rescue(String)
        case finish([Completion])
        case leave
    }

    enum Answer {
        case deliveries([Delivery])
        case claim(Claim)
        case renewal(Renewal)
        case written([Bool])
        case done
        case failure(JobQueueError)
    }

    enum Wake {
        /// Something may have changed for the consumer.
        case fetch
        /// The bell rang.
        case ring
        /// The pause after an outage is over.
        case resume
        /// The consumer is restarted.
        case begin
        case tick
        case write
    }
}

extension Simulation.Call {
    var name: String {
        switch self {
        case .join: "join"
        case .held: "held"
        case .claim(let request): "claim \(request.most)"
        case .renew: "renew"
        case .moveDue: "due"
        case .rescue(let name): "rescue \(name)"
        case .finish(let completions):
            "finish \(completions.map { "\($0.delivery.jobID.map { "\($0)" } ?? "none") \($0.end)" })"
        case .leave: "leave"
        }
    }
}

extension Simulation.Answer {
    var name: String {
        switch self {
        case .deliveries(let deliveries): "\(deliveries.compactMap { $0.jobID.map { "\($0)" } })"
        case .claim(let claim): "\(claim.deliveries.compactMap { $0.jobID.map { "\($0)" } })"
        case .renewal(let renewal): "dead \(renewal.dead)"
        case .written(let written): "\(written)"
        case .done: "done"
        case .failure(let error): "\(error.code)"
        }
    }
}
