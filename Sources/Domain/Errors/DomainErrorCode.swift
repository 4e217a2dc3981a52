/// The closed list of the kinds of `DomainError`.
package enum DomainErrorCode: Hashable, Sendable {
    case invalidIdentifier
    case invalidJSON
    case invalidValue
}
