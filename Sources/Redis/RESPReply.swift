/// One reply as a flat list of values in pre-order over one block of bytes; no tree is allocated.
package struct RESPReply: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case string
        case array
        case integer
        case null
        case status
        case error
    }

    struct Node: Sendable, Hashable {
        let kind: Kind
        let offset: Int
        let length: Int
        /// The integer, or the count of an array's elements.
        let value: Int64
    }

    let nodes: [Node]
    let bytes: [UInt8]

    /// The reply's outermost value.
    package var root: RESPValue { RESPValue(reply: self, index: 0) }

    /// The error reply as a typed error, nil when it is none.
    package var error: RedisError? {
        guard self.root.kind == .error else { return nil }
        return .server(String(decoding: self.root.bytes, as: UTF8.self))
    }

    /// The reply itself, or its error thrown.
    package func checked() throws(RedisError) -> RESPValue {
        if let error = self.error { throw error }
        return self.root
    }

    /// The index behind the value at `index` and all it contains.
    func end(of index: Int) -> Int {
        var position = index
        var open = 1
        while open > 0, position < self.nodes.count {
            if self.nodes[position].kind == .array { open += Int(self.nodes[position].value) }
            open -= 1
            position += 1
        }
        return position
    }
}

/// A value inside a reply: a cursor, cheap to copy.
package struct RESPValue: Sendable {
    let reply: RESPReply
    let index: Int

    package var kind: RESPReply.Kind { self.reply.nodes[self.index].kind }

    package var isNull: Bool { self.kind == .null }

    /// The bytes of a string, status or error; empty for anything else.
    package var bytes: ArraySlice<UInt8> {
        let node = self.reply.nodes[self.index]
        return self.reply.bytes[node.offset..<node.offset + node.length]
    }

    /// The text of a string or status, nil for anything else and for broken UTF-8.
    package var string: String? {
        guard self.kind == .string || self.kind == .status else { return nil }
        return String(validating: self.bytes, as: UTF8.self)
    }

    /// An integer reply, or a string that is one.
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
