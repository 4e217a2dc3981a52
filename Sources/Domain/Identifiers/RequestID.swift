/// The idempotency key of a request (`client_request_id`): a UUID of any version, in upper or lower case.
package struct RequestID: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUIDBytes

    /// Takes a UUID of any version.
    package init(uuid: UUIDBytes) { self.uuid = uuid }

    /// Parses the text form of a UUID. Throws `DomainError.invalidIdentifier` for anything else.
    package init(_ text: String) throws(DomainError) {
        guard let uuid = UUIDBytes(text: text) else {
            throw .invalidIdentifier(
                kind: "request id", text: text, expected: "a UUID such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427")
        }
        self.uuid = uuid
    }

    package var description: String { self.uuid.text }
}
