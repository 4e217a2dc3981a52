internal import Domain
internal import ShimProtocol

extension TerminalInput {
    /// Text of a request. Throws a `Problem` (422) that names the control character in it.
    init(messageText text: String) throws(Problem) {
        do throws(DomainError) {
            try self.init(text: text)
        } catch {
            throw Problem(.invalid, error.message)
        }
    }

    /// The member `keys` of a body. Throws a `Problem` (422) that names the key that does not exist.
    init(keyNames body: inout BodyReader) throws {
        guard let list = try body.list("keys") else {
            throw Problem(.invalid, "'keys' is missing: expected a list of key names")
        }
        let names = try list.map { value in
            guard let name = value.value.string else { throw Problem(.invalid, "'keys' must be a list of strings") }
            return name
        }
        do throws(DomainError) {
            try self.init(keys: names)
        } catch {
            throw Problem(.invalid, error.message)
        }
    }
}
