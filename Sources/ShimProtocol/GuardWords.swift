/// What guard, shim and node agree on.
package enum GuardWords {
    /// Every message of the guard begins so.
    package static let prefix = "orchestra-guard: "
    /// The status of a launch that was refused because a layer is missing.
    package static let refusal: Int32 = 125
}
