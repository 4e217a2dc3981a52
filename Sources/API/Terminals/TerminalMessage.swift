internal import Domain
internal import ShimProtocol

/// A message of the client as it is read from a text frame, before it is decided.
struct TerminalMessage: Sendable {
    let input: TerminalInput
    let key: Domain.RequestID
    let until: MessageLedger.Stage

    /// Throws a `Problem` or an `InputError` for what is not such a message. `name` becomes its id as soon as that is
    /// known, for the answer.
    init(_ bytes: [UInt8], name: inout String?) throws {
        let document: JSONDocument
        do throws(DomainError) { document = try JSONParser.document(bytes) } catch {
            throw Problem(.malformed, "a message must be one strict JSON object: \(error.message)")
        }
        guard document.value.members != nil else {
            throw Problem(.malformed, "a message must be one strict JSON object")
        }
        var body = BodyReader(document)
        let key = try body.optionalText("message_id").map { try Input.requestID($0) }
        name = key?.description
        let kind = try body.text("type")
        guard kind == "input" || kind == "keys" else { throw Problem(.invalid, "'type' must be input or keys") }
        guard let key else { throw Problem(.invalid, "'message_id' is missing: expected a string") }
        self.input =
            kind == "keys"
            ? try TerminalInput(keyNames: &body) : try TerminalInput(messageText: try body.text("text"))
        let until = try body.optionalText("until") ?? "written"
        try body.finish()
        self.key = key
        self.until = try Self.stage(until)
    }

    /// The stage of a message's way that 'until' names.
    static func stage(_ name: String) throws -> MessageLedger.Stage {
        guard let stage = MessageLedger.Stage.allCases.first(where: { $0.name == name }), stage != .refused else {
            throw Problem(.invalid, "'until' must be one of queued, written, consumed, answered")
        }
        return stage
    }
}
