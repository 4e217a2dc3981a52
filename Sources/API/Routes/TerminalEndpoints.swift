internal import Audit
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Jobs
internal import ShimProtocol

extension Endpoint {
    /// The keyboard and the size of an agent's terminal.
    static let terminals = [
        Endpoint(
            method: .post, path: "/ai/agents/{id}/keys",
            summary: "Presses keys in an agent's terminal. The same message id never presses them twice.",
            body: Schema.object([
                "keys": Schema.list(Schema.string(1...40), most: Int64(TerminalKey.limit)), "message_id": Schema.uuid,
                "until?": ["type": "string", "enum": ["queued", "written", "consumed", "answered"]],
            ]),
            answers: [Answer(status: 200, text: "The last receipt.", schema: Schema.reference("Receipt"))],
            problems: [404, 408, 409, 413, 415, 502], isForwarded: true, handler: .guarded(.typeToAgent, Self.press)),
        Endpoint(
            method: .post, path: "/ai/agents/{id}/size", summary: "Gives an agent's terminal another size.",
            body: Schema.object(Self.size),
            answers: [Answer(status: 200, text: "The size.", schema: Schema.object(Self.size))],
            problems: [404, 408, 409, 413, 415, 502], isForwarded: true, handler: .guarded(.typeToAgent, Self.resize)),
    ]

    private static var size: KeyValuePairs<String, JSONValue> {
        [
            "columns": Schema.integer(
                Int64(TerminalSizes.columns.lowerBound)...Int64(TerminalSizes.columns.upperBound)),
            "rows": Schema.integer(Int64(TerminalSizes.rows.lowerBound)...Int64(TerminalSizes.rows.upperBound)),
        ]
    }

    private static func press(_ call: Call) async throws -> Response {
        var body = try await call.body()
        let input = try TerminalInput(keyNames: &body)
        return try await call.type(input, &body, named: "the keys were")
    }

    private static func resize(_ call: Call) async throws -> Response {
        var body = try await call.body()
        guard let columns = try body.optionalInteger("columns"), let rows = try body.optionalInteger("rows") else {
            throw Problem(.invalid, "'columns' and 'rows' are missing: expected two integers")
        }
        try body.finish()
        let (width, height) = (UInt16(clamping: columns), UInt16(clamping: rows))
        if let problem = TerminalSizes.problem(columns: width, rows: height) { throw Problem(.invalid, problem) }
        let agent = try await call.agent()
        try await agent.resize(columns: width, rows: height) { digest in
            call.event(.resized, agent.job.id, status: "asked", action: "", digest: digest)
        }
        return .json(["columns": .integer(Int64(width)), "rows": .integer(Int64(height))])
    }
}
