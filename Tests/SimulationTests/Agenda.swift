/// Events in the order of their times; those of one time in the order in which they were added. Times are in
/// milliseconds and never earlier than the event that was taken last.
///
/// A slot a millisecond for the current page of time: in a debug build this takes a fraction of a heap's time.
struct Agenda {
    private static let pageLength: UInt64 = 4096

    private var page: UInt64
    private var slots = [[Simulation.Event]](repeating: [], count: Int(Self.pageLength))
    /// How many events of each slot are left.
    private var counts = [Int](repeating: 0, count: Int(Self.pageLength))
    private var slot = 0
    private var later: [UInt64: [(time: UInt64, event: Simulation.Event)]] = [:]
    private var count = 0

    init(beginningAt time: UInt64) { self.page = time / Self.pageLength }

    mutating func insert(_ event: Simulation.Event, at time: UInt64) {
        self.count += 1
        if time / Self.pageLength == self.page {
            self.add(event, at: time)
        } else {
            self.later[time / Self.pageLength, default: []].append((time, event))
        }
    }

    private mutating func add(_ event: Simulation.Event, at time: UInt64) {
        let slot = Int(time % Self.pageLength)
        self.slots[slot].append(event)
        self.counts[slot] += 1
    }

    /// The earliest event, which is taken out; nil when there is none.
    mutating func popFirst() -> (time: UInt64, event: Simulation.Event)? {
        guard self.count > 0 else { return nil }
        while self.counts[self.slot] == 0 {
            self.slot += 1
            if self.slot == self.counts.count { self.turnPage() }
        }
        let (slot, left) = (self.slot, self.counts[self.slot])
        let event = self.slots[slot][self.slots[slot].count - left]
        self.counts[slot] = left - 1
        if left == 1 { self.slots[slot] = [] }
        self.count -= 1
        return (self.page * Self.pageLength + UInt64(slot), event)
    }

    private mutating func turnPage() {
        self.slot = 0
        self.page += 1
        for (time, event) in self.later.removeValue(forKey: self.page) ?? [] { self.add(event, at: time) }
    }
}
