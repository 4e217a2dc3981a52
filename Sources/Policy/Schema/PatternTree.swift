/// A pattern as it was read.
indirect enum PatternTree {
    case set(ScalarSet)
    case start
    case end
    case sequence([PatternTree])
    case choice([PatternTree])
    case repeated(PatternTree, minimum: Int, maximum: Int?)

    /// Whether every match begins at the start of the text.
    var isAnchored: Bool {
        switch self {
        case .start: true
        case .set, .end: false
        case .sequence(let parts): parts.first?.isAnchored ?? false
        case .choice(let parts): parts.allSatisfy(\.isAnchored)
        case .repeated(let part, let minimum, _): minimum > 0 && part.isAnchored
        }
    }
}
