/// Gives the keys of an issuer.
package protocol KeySource: Sendable {
    /// The newest keys at hand; newer ones are fetched when the id is not among them. Fails when there are none.
    func keys(knowing id: String) async -> Result<KeySet, CredentialsError>
}
