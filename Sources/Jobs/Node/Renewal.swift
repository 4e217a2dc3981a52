package import Domain

/// The reply to a renewal of a lease.
package struct Renewal: Hashable, Sendable {
    /// The names of nodes whose lease has expired.
    package let dead: [String]
    /// Jobs of this node that are to be cancelled.
    package let cancelled: [JobID]
    /// The number of leases that this node has.
    package let held: Int
}
