/// One reply as a flat list of values in pre-order over one block of bytes; no tree is allocated.
package struct RESPReply: Sendable, Hashable {
    /// The kinds of values in RESP2.
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

    /// The outermost value of the reply.
    package var root: RESPValue { RESPValue(reply: self, index: 0) }

    /// The typed error of an error reply; nil for other replies.
    package var error: RedisError? {
        guard self.root.kind == .error else { return nil }
        return .server(String(decoding: self.root.bytes, as: UTF8.self))
    }

    /// The outermost value; throws the error of an error reply.
    package func checked() throws(RedisError) -> RESPValue {
        if let error = self.error { throw error }
        return self.root
    }

    /// The index after the value at `index` and all that it contains.
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
