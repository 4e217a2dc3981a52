extension RequestDraft {
    /// The names of a draft's members in one kind of JSON document.
    package struct Members: Sendable {
        let names: [Field: String]
        /// The params of a document without that member; nil when the member is required.
        let defaultParams: [UInt8]?
        /// Creates the request ID of a document without that member; nil when the member is required.
        let makeRequestID: (@Sendable () -> String)?

        /// The members of a body of the API.
        package static let api = Members(
            names: Self.common.merging([
                .requestID: "client_request_id", .delay: "delay_seconds", .uniqueKey: "unique_key",
            ]) { $1 }, defaultParams: nil, makeRequestID: nil)

        /// The members of a line of a batch. Params default to an empty object, the request ID to a new one.
        package static func batch(freshRequestID: @escaping @Sendable () -> String) -> Members {
            Members(
                names: Self.common.merging([.requestID: "request_id", .delay: "delay", .uniqueKey: "unique"]) { $1 },
                defaultParams: Array("{}".utf8), makeRequestID: freshRequestID)
        }

        private static let common: [Field: String] = [
            .action: "action", .params: "params", .priority: "priority", .runAt: "run_at", .deadline: "deadline",
            .tags: "tags", .isRepeatable: "repeatable",
        ]

        /// Returns the name of a field's member in quotes, for messages.
        package func quoted(_ field: Field) -> String { "'\(self.names[field] ?? "\(field)")'" }
    }
}
