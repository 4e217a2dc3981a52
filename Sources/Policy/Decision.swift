/// The answer to "may this be done": each names the rule that decided.
package enum Decision: Hashable, Sendable {
    case allow(rule: String)
    case deny(Denial)
}
