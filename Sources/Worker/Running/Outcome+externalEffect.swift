internal import Domain

extension Outcome {
    /// The outcome of a run whose effect must not be repeated: `unknown` when the run was interrupted, because it may have
    /// taken effect; otherwise unchanged.
    var ofExternalEffect: Outcome {
        switch self {
        case .cancelled(.timeout): .mayHaveTakenEffect("the time limit was reached")
        case .cancelled(.drain): .mayHaveTakenEffect("the node was stopped during the run")
        case .failed(let failure) where failure.isCutOff: .mayHaveTakenEffect(failure.reason)
        case .completed, .failed, .refused, .unknown, .notStarted, .cancelled: self
        }
    }

    /// An unknown outcome that states the cause and what to do.
    static func mayHaveTakenEffect(_ cause: String) -> Outcome {
        .unknown(
            reason: "\(cause): the job may have taken effect; check, then decide with: orchestra jobs resolve")
    }
}
