/// A value inside a reply: a reference to the reply and an index, cheap to copy.
package struct RESPValue: Sendable {
    let reply: RESPReply
    let index: Int

    /// The kind of the value.
    package var kind: RESPReply.Kind { self.reply.nodes[self.index].kind }

    /// Whether the reply has no value here.
    package var isNull: Bool { self.kind == .null }

    /// The bytes of a string, status or error; empty for anything else.
    package var bytes: ArraySlice<UInt8> {
        let node = self.reply.nodes[self.index]
        return self.reply.bytes[node.offset..<node.offset + node.length]
    }

    /// The text of a string or status; nil for other kinds and for invalid UTF-8.
    package var string: String? {
        guard self.kind == .string || self.kind == .status else { return nil }
        return String(validating: self.bytes, as: UTF8.self)
    }

    /// An integer reply, or a string that is an integer; nil for anything else.
    package var integer: Int? {
        if self.kind == .integer { return Int(exactly: self.reply.nodes[self.index].value) }
        return self.string.flatMap { Int($0) }
    }

    /// The elements of an array; empty for anything else.
    package var elements: [RESPValue] {
        guard self.kind == .array else { return [] }
        let count = Int(self.reply.nodes[self.index].value)
        var result: [RESPValue] = []
        result.reserveCapacity(count)
        var position = self.index + 1
        for _ in 0..<count where position < self.reply.nodes.count {
            result.append(RESPValue(reply: self.reply, index: position))
            position = self.reply.end(of: position)
        }
        return result
    }
}
