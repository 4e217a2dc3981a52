internal import CHiredis
internal import Domain
package import NIOCore

/// The RESP parser: the reader of hiredis, appending to an arena. Every call of hiredis is in this file and no pointer
/// leaves it.
///
/// Input may be split anywhere. Three bounds hold: values of a reply, bytes of a reply, and bytes that complete no reply.
/// Passing a bound throws; the reader must not be used afterwards.
@safe
package struct RESPReader: ~Copyable {
    /// What one reply may have.
    package struct Limits: Sendable, Hashable {
        package var values: Int
        package var bytes: Int

        /// Allows a million values and 64 MiB by default; checks nothing.
        package init(values: Int = 1_000_000, bytes: Int = 64 * 1024 * 1024) {
            self.values = values
            self.bytes = bytes
        }
    }

    private let arena: UnsafeMutablePointer<orc_arena>
    private let reader: UnsafeMutablePointer<redisReader>
    private let limits: Limits
    private var unparsed = 0

    /// Throws when no memory is left.
    package init(limits: Limits = Limits()) throws(RedisError) {
        guard let arena = unsafe orc_arena_create(limits.values, limits.bytes) else {
            throw Self.failure("no memory is left")
        }
        guard let reader = unsafe orc_reader_create(arena) else {
            unsafe orc_arena_free(arena)
            throw Self.failure("no memory is left")
        }
        unsafe self.arena = unsafe arena
        unsafe self.reader = unsafe reader
        self.limits = limits
    }

    deinit {
        unsafe redisReaderFree(self.reader)
        unsafe orc_arena_free(self.arena)
    }

    /// Adds received bytes. Throws `unexpectedReply` when a bound is passed.
    package mutating func feed(_ bytes: ByteBufferView) throws(RedisError) {
        let count = bytes.count
        guard count > 0 else { return }
        self.unparsed += count
        // The lengths and line ends of the protocol may double a reply of tiny values.
        guard self.unparsed <= self.limits.bytes * 2 else {
            throw Self.failure("more than \(self.limits.bytes * 2) bytes were received without a complete reply")
        }
        let status = unsafe bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return REDIS_ERR }
            return unsafe redisReaderFeed(self.reader, base.assumingMemoryBound(to: CChar.self), raw.count)
        }
        guard status == REDIS_OK else { throw self.readerFailure() }
    }

    /// The next complete reply; nil when more input is needed. Throws `unexpectedReply` for malformed input.
    package mutating func next() throws(RedisError) -> RESPReply? {
        var object: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(self.reader, &object) == REDIS_OK else { throw self.readerFailure() }
        guard unsafe object != nil else { return nil }
        let reply = try self.copyReply()
        unsafe orc_arena_reset(self.arena)
        let buffered = unsafe self.reader.pointee.len - self.reader.pointee.pos
        self.unparsed = max(0, buffered)
        return reply
    }

    private func copyReply() throws(RedisError) -> RESPReply {
        let nodeCount = unsafe self.arena.pointee.node_count
        let byteCount = unsafe self.arena.pointee.byte_count
        var nodes: [RESPReply.Node] = []
        nodes.reserveCapacity(nodeCount)
        guard let source = unsafe self.arena.pointee.nodes else { throw Self.failure("it has no value") }
        for index in 0..<nodeCount {
            let node = unsafe source[index]
            guard let kind = Self.kind(node.kind) else { throw Self.failure("its type is not in RESP2") }
            nodes.append(
                RESPReply.Node(kind: kind, offset: Int(node.offset), length: Int(node.length), value: node.value))
        }
        let bytes = unsafe Array(UnsafeRawBufferPointer(start: self.arena.pointee.bytes, count: byteCount))
        return RESPReply(nodes: nodes, bytes: bytes)
    }

    private static func kind(_ raw: UInt32) -> RESPReply.Kind? {
        switch raw {
        case ORC_NODE_STRING.rawValue: .string
        case ORC_NODE_ARRAY.rawValue: .array
        case ORC_NODE_INTEGER.rawValue: .integer
        case ORC_NODE_NIL.rawValue: .null
        case ORC_NODE_STATUS.rawValue: .status
        case ORC_NODE_ERROR.rawValue: .error
        default: nil
        }
    }

    private func readerFailure() -> RedisError {
        if unsafe self.arena.pointee.failed != 0 {
            return Self.failure(
                "it exceeds the limit of \(self.limits.values) values or \(self.limits.bytes) bytes")
        }
        return Self.failure(unsafe String(cString: orc_reader_error(self.reader)))
    }

    private static func failure(_ problem: String) -> RedisError {
        RedisError(code: .unexpectedReply, message: "malformed reply from Redis: \(problem)")
    }
}
