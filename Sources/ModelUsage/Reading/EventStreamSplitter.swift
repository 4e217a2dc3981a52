/// Splits a stream of server-sent events (WHATWG HTML §9.2) into the bytes of its data and the ends of its events. It keeps
/// the name of the field and of the event, both bounded, and never the data.
struct EventStreamSplitter: Hashable, Sendable {
    /// What a byte of the stream means.
    enum Signal: Hashable, Sendable {
        case nothing
        /// A byte of the event's data. Lines of data are separated, and followed, by LF.
        case data(UInt8)
        /// The event is complete.
        case ended
    }

    private enum Place: Hashable, Sendable {
        /// In the name of a field; behind its colon; in its value; in a line without meaning.
        case name, colon, value, ignored
    }

    private enum Field: Hashable, Sendable {
        case data, event, other
    }

    private var place = Place.name
    /// The field of the line, once its name is complete.
    private var field = Field.other
    private var name: [UInt8] = []
    private var eventName: [UInt8] = []
    private var hasFields = false
    private var wasCarriageReturn = false

    private static let data = Array("data".utf8)
    private static let event = Array("event".utf8)
    private static let nameLimit = 8
    private static let eventNameLimit = 64

    /// The name of the event that is being read; empty if it has none yet.
    var currentEvent: String { String(decoding: self.eventName, as: UTF8.self) }

    /// Whether the next byte is data, unless it ends the line.
    var isInData: Bool { self.place == .value && self.field == .data }

    /// Reads one byte.
    mutating func next(_ byte: UInt8) -> Signal {
        if byte == 0x0a, self.wasCarriageReturn {
            self.wasCarriageReturn = false
            return .nothing
        }
        self.wasCarriageReturn = byte == 0x0d
        if byte == 0x0a || byte == 0x0d { return self.endLine() }
        switch self.place {
        case .name:
            if byte == UInt8(ascii: ":") {
                self.place = self.name.isEmpty ? .ignored : .colon
                self.endName()
                if self.field == .event { self.eventName.removeAll(keepingCapacity: true) }
            } else if self.name.count < Self.nameLimit {
                self.name.append(byte)
            } else {
                self.place = .ignored
            }
            return .nothing
        case .colon:
            self.place = .value
            return byte == 0x20 ? .nothing : self.value(byte)
        case .value: return self.value(byte)
        case .ignored: return .nothing
        }
    }

    /// Prepares for the next event, after `ended`.
    mutating func reset() {
        self.eventName.removeAll(keepingCapacity: true)
        self.hasFields = false
    }

    private mutating func value(_ byte: UInt8) -> Signal {
        if self.field == .data { return .data(byte) }
        if self.field == .event, self.eventName.count < Self.eventNameLimit { self.eventName.append(byte) }
        return .nothing
    }

    private mutating func endName() {
        self.field = self.name == Self.data ? .data : self.name == Self.event ? .event : .other
    }

    private mutating func endLine() -> Signal {
        let isBlank = self.place == .name && self.name.isEmpty
        if self.place == .name { self.endName() }
        let isData = self.place != .ignored && self.field == .data
        if !isBlank, self.place != .ignored { self.hasFields = true }
        self.place = .name
        self.name.removeAll(keepingCapacity: true)
        if isBlank { return self.hasFields ? .ended : .nothing }
        return isData ? .data(0x0a) : .nothing
    }
}
