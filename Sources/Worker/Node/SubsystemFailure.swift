/// A subsystem has used up its restart budget.
struct SubsystemFailure: Error, CustomStringConvertible {
    let description: String
}
