package import Domain

extension RequestDraft {
    /// Reads a draft from a JSON object. The params keep their original bytes. Throws `DraftError` for a member that is
    /// missing or has the wrong type, `UnknownMember` for a member that a draft does not have.
    package init(reading document: JSONDocument, members: Members) throws {
        let reader = Reader(document: document, members: members)
        try reader.refuseUnknown()
        guard let requestID = try reader.text(.requestID) ?? members.makeRequestID?() else {
            throw DraftError(.requestID, "is missing: expected a string")
        }
        guard let action = try reader.text(.action) else { throw DraftError(.action, "is missing: expected a string") }
        self.init(
            action: action, params: try reader.params(), requestID: requestID, priority: try reader.text(.priority),
            delay: try reader.integer(.delay), runAt: try reader.text(.runAt), deadline: try reader.text(.deadline),
            uniqueKey: try reader.text(.uniqueKey), tags: try reader.texts(.tags),
            isRepeatable: try reader.bool(.isRepeatable))
    }

    private struct Reader {
        let document: JSONDocument
        let members: Members

        private func value(_ field: Field) -> JSONValue? {
            self.members.names[field].flatMap { self.document.value[$0] }
        }

        func refuseUnknown() throws(UnknownMember) {
            let known = Set(self.members.names.values)
            guard let unknown = self.document.value.members?.first(where: { !known.contains($0.name) }) else { return }
            throw UnknownMember(
                description:
                    "'\(Printable.text(unknown.name, limit: 40))' is not a member; expected one of \(known.sorted().joined(separator: ", "))"
            )
        }

        func text(_ field: Field) throws(DraftError) -> String? {
            guard let value = self.value(field) else { return nil }
            guard let text = value.string else { throw DraftError(field, "must be a string") }
            return text
        }

        func integer(_ field: Field) throws(DraftError) -> Int64? {
            guard let value = self.value(field) else { return nil }
            guard let number = value.wholeNumber else { throw DraftError(field, "must be an integer") }
            return number
        }

        func bool(_ field: Field) throws(DraftError) -> Bool? {
            guard let value = self.value(field) else { return nil }
            guard let bool = value.bool else { throw DraftError(field, "must be true or false") }
            return bool
        }

        func texts(_ field: Field) throws(DraftError) -> [String] {
            guard let value = self.value(field) else { return [] }
            guard let list = value.array, list.allSatisfy({ $0.string != nil }) else {
                throw DraftError(field, "must be a list of strings")
            }
            return list.compactMap(\.string)
        }

        func params() throws(DraftError) -> [UInt8] {
            guard let value = self.value(.params) else {
                guard let bytes = self.members.defaultParams else { throw DraftError(.params, "must be an object") }
                return bytes
            }
            guard value.members != nil, let name = self.members.names[.params],
                let bytes = self.document.bytes(of: name)
            else { throw DraftError(.params, "must be an object") }
            return bytes
        }
    }
}
