/// Keys that never change.
package struct FixedKeys: KeySource {
    private let set: KeySet

    /// Takes the keys as given.
    package init(_ set: KeySet) { self.set = set }

    /// The keys, whatever the id.
    package func keys(knowing id: String) -> Result<KeySet, CredentialsError> { .success(self.set) }
}
