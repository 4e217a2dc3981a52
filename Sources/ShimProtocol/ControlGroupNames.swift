/// The names of control groups, by which those of shims that have ended are recognized.
package enum ControlGroupNames {
    /// The prefix before the shim's process id.
    package static let prefix = "orc-"
    /// The prefix before the id of a process that tests whether it may create one.
    package static let trial = "try-"
}
