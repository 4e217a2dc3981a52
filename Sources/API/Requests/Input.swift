internal import Domain
internal import Jobs
internal import Redaction

/// Reads values of the client with the modules' own initializers; what these refuse is the client's error.
enum Input {
    static func action(_ text: String) throws -> ActionName {
        try self.read(text) { () throws(DomainError) in try ActionName(text) }
    }
    static func tag(_ text: String) throws -> JobTag {
        try self.read(text) { () throws(DomainError) in try JobTag(text) }
    }
    static func job(_ text: String) throws -> JobID {
        try self.read(text) { () throws(DomainError) in try JobID(text) }
    }
    static func name(_ text: String) throws -> DefinitionName {
        try self.read(text) { () throws(DomainError) in try DefinitionName(text) }
    }
    static func requestID(_ text: String) throws -> RequestID {
        try self.read(text) { () throws(DomainError) in try RequestID(text) }
    }

    private static func read<Value>(
        _ text: String, _ body: () throws(DomainError) -> Value
    ) throws(InputError) -> Value {
        // It would be kept as a name in rows and lists.
        guard Redactor.redacted(text) == text else {
            throw InputError(
                message: "a name or an id contains a credential; expected a name, which is stored and shown")
        }
        do throws(DomainError) { return try body() } catch { throw InputError(message: error.message) }
    }
}
