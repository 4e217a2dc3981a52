package import Domain

/// A price table, a budget limit or a rule about model calls cannot be used; the message names the entry and its member.
package typealias ModelUsageError = CodedError<ModelUsageErrorCode>

/// Why data about model calls cannot be used.
package enum ModelUsageErrorCode: Hashable, Sendable {
    /// A price table does not follow its format.
    case malformedPrices
    /// No price is known for a model, and the table refuses such models.
    case unknownModel
    /// A budget limit does not follow its format.
    case malformedLimit
}
