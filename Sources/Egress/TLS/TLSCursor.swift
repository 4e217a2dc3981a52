/// Reads big-endian integers and length-prefixed vectors of TLS. Every method returns nil when the bytes end too early.
struct TLSCursor {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.rest = bytes }

    mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
        guard count <= self.rest.count else { return nil }
        defer { self.rest = self.rest.dropFirst(count) }
        return self.rest.prefix(count)
    }

    /// An integer of 1 to 3 bytes.
    mutating func integer(_ count: Int) -> Int? { self.bytes(count)?.reduce(0) { $0 << 8 | Int($1) } }

    /// A vector whose length is an integer of `prefix` bytes.
    mutating func vector(_ prefix: Int) -> ArraySlice<UInt8>? {
        guard let count = self.integer(prefix) else { return nil }
        return self.bytes(count)
    }
}
