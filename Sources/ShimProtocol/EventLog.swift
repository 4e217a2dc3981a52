/// The events that an agent writes as lines of JSON to its descriptor 3, next to its terminal. Each has a number.
package struct EventLog {
    /// One line of an agent, without its newline. The first event has the number 1.
    package struct Event: Hashable, Sendable {
        package let number: UInt64
        /// Milliseconds since the launch.
        package let time: UInt64
        package let line: [UInt8]

        /// Takes the parts as given; does not parse the line.
        package init(number: UInt64, time: UInt64, line: [UInt8]) {
            self.number = number
            self.time = time
            self.line = line
        }
    }

    /// The newest events, as many as fit in `keptBytes`.
    package private(set) var events: [Event] = []
    package private(set) var lastNumber: UInt64 = 0
    /// Lines that were not a JSON object, or too long.
    package private(set) var refused: UInt64 = 0
    private var begun: [UInt8] = []
    private var isTooLong = false
    private var bytes = 0

    package static let longestLine = 16 * 1024
    package static let keptBytes = 256 * 1024
    /// What an event costs in addition to its line.
    private static let overhead = 64

    /// Starts without events.
    package init() {}

    /// Takes the next bytes of the descriptor; returns the events that they complete.
    package mutating func take(_ bytes: [UInt8], at time: UInt64) -> [Event] {
        var new: [Event] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if self.begun.count < Self.longestLine { self.begun.append(byte) } else { self.isTooLong = true }
                continue
            }
            if let event = self.finishLine(at: time) { new.append(event) }
        }
        return new
    }

    private mutating func finishLine(at time: UInt64) -> Event? {
        defer {
            self.begun = []
            self.isTooLong = false
        }
        guard !self.isTooLong, self.begun.first == UInt8(ascii: "{"), self.begun.last == UInt8(ascii: "}") else {
            if !self.begun.isEmpty { self.refused += 1 }
            return nil
        }
        self.lastNumber += 1
        let event = Event(number: self.lastNumber, time: time, line: self.begun)
        self.events.append(event)
        self.bytes += event.line.count + Self.overhead
        if self.bytes > Self.keptBytes * 5 / 4 { self.dropOldest() }
        return event
    }

    /// Drops many at a time, so that a flood of short lines costs no more than its bytes.
    private mutating func dropOldest() {
        var count = 0
        while self.bytes > Self.keptBytes, count < self.events.count - 1 {
            self.bytes -= self.events[count].line.count + Self.overhead
            count += 1
        }
        self.events.removeFirst(count)
    }

    /// Events after this number that are still kept.
    package func after(_ number: UInt64) -> ArraySlice<Event> {
        // The numbers have no gap.
        guard let first = self.events.first?.number, number >= first else { return self.events[...] }
        return self.events.dropFirst(Int(clamping: number - first + 1))
    }
}
