/// The part of the text that a decision may rest on.
struct Look {
    let end: Int
    /// True when nothing after `end` may change a decision: the text ends, or `end` is as far as matchers look.
    let isWhole: Bool
}
