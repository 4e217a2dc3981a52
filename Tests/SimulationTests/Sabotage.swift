/// A fault of the product that a simulation reproduces, to prove that its checks find it.
enum Sabotage: CaseIterable {
    /// Outcomes are written whatever became of the lease.
    case unfenced
    /// After a lost answer the node does not ask what the queue gave it.
    case forgetsLostClaims
    /// A job with effects outside is run again after its node died.
    case repeatsEffects
    /// The queue does not remember submissions.
    case forgetsRequests
    /// A claim brings jobs of workspaces whose home is another node.
    case ignoresHomes
    /// A dead node's jobs stay where they are.
    case rescuesNobody
    /// A lane's part is what is free divided by all lanes that were ever refused a slot, idle ones included.
    case sharesWithIdleLanes
    /// A lane whose claim found nothing keeps its place among those that wait for a slot.
    case keepsPlaceWhenIdle
    /// A lane whose queue does not answer keeps its place.
    case keepsPlaceInOutage
    /// A lane whose consumer ended keeps its place until the next one begins.
    case keepsPlaceAfterEnd

    /// Whether it keeps slots from lanes that have work.
    var leavesSlotsIdle: Bool {
        switch self {
        case .sharesWithIdleLanes, .keepsPlaceWhenIdle, .keepsPlaceInOutage, .keepsPlaceAfterEnd: true
        case .unfenced, .forgetsLostClaims, .repeatsEffects, .forgetsRequests, .ignoresHomes, .rescuesNobody: false
        }
    }
}
