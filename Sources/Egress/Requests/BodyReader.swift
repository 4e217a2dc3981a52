internal import Domain

/// Finds the end of a request's body and checks its chunks. Bytes are passed on as they are; nothing is kept.
struct BodyReader: Hashable, Sendable {
    private enum State: Hashable {
        case length(UInt64)
        case size(UInt64, digits: Int)
        case sizeEnd(UInt64)
        case data(UInt64)
        case dataReturn
        case dataEnd
        case lastReturn
        case lastEnd
        case complete
    }

    private var state: State

    init(_ framing: BodyFraming) {
        switch framing {
        case .none: self.state = .complete
        case .length(let length): self.state = .length(length)
        case .chunked: self.state = .size(0, digits: 0)
        }
    }

    /// Whether the whole body has been read.
    var isComplete: Bool { self.state == .complete }

    /// Returns how many of the bytes belong to the body. Throws `malformed_body` for a chunk with an extension, a trailer or
    /// a malformed size.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> Int {
        try self.read(bytes) { _ in }
    }

    /// The same; appends the content without its chunks to `payload`.
    mutating func read(_ bytes: ArraySlice<UInt8>, payload: inout [UInt8]) throws(EgressRefusal) -> Int {
        try self.read(bytes) { payload += $0 }
    }

    private mutating func read(
        _ bytes: ArraySlice<UInt8>, _ content: (ArraySlice<UInt8>) -> Void
    ) throws(EgressRefusal) -> Int {
        var used = 0
        while used < bytes.count {
            let rest = bytes.count - used
            switch self.state {
            case .complete: return used
            case .length(let left):
                let taken = Int(clamping: min(left, UInt64(rest)))
                content(bytes.dropFirst(used).prefix(taken))
                used += taken
                self.state = left == UInt64(taken) ? .complete : .length(left - UInt64(taken))
            case .data(let left):
                let taken = Int(clamping: min(left, UInt64(rest)))
                content(bytes.dropFirst(used).prefix(taken))
                used += taken
                self.state = left == UInt64(taken) ? .dataReturn : .data(left - UInt64(taken))
            default:
                self.state = try Self.next(self.state, bytes[bytes.startIndex + used])
                used += 1
            }
        }
        return used
    }

    private static func next(_ state: State, _ byte: UInt8) throws(EgressRefusal) -> State {
        switch (state, byte) {
        case (.size(let size, let digits), ASCII.carriageReturn) where digits > 0: return .sizeEnd(size)
        case (.size(let size, let digits), _):
            guard digits < 15, let digit = Hexadecimal.value(of: byte) else { break }
            return .size(size << 4 | UInt64(digit), digits: digits + 1)
        case (.sizeEnd(let size), ASCII.lineFeed): return size == 0 ? .lastReturn : .data(size)
        case (.dataReturn, ASCII.carriageReturn): return .dataEnd
        case (.dataEnd, ASCII.lineFeed): return .size(0, digits: 0)
        case (.lastReturn, ASCII.carriageReturn): return .lastEnd
        case (.lastEnd, ASCII.lineFeed): return .complete
        default: break
        }
        throw EgressRefusal(
            .malformedBody, "a chunk of the body is malformed: expected a size, CR LF and no extension or trailer")
    }
}
