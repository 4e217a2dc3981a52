internal import HeapModule

/// The moments that a supervisor waits for: an event each. One sleeping task serves them all, since a task for
/// each of ten thousand shutdown times would outlive its use by seconds.
struct AlarmClock {
    struct Alarm: Comparable {
        let at: Duration
        let number: Int
        let event: SupervisorMachine.Event

        static func < (left: Self, right: Self) -> Bool { (left.at, left.number) < (right.at, right.number) }
        static func == (left: Self, right: Self) -> Bool { left.number == right.number }
    }

    private var alarms = Heap<Alarm>()
    private var number = 0

    /// The earliest moment.
    var next: Duration? { self.alarms.min?.at }

    /// True when this is the earliest now, so that the sleeper must sleep less.
    mutating func set(_ event: SupervisorMachine.Event, at moment: Duration) -> Bool {
        let isEarliest = self.next.map { moment < $0 } ?? true
        self.number += 1
        self.alarms.insert(Alarm(at: moment, number: self.number, event: event))
        return isEarliest
    }

    /// Takes what is due, in order.
    mutating func due(at now: Duration) -> [Alarm] {
        var due: [Alarm] = []
        while let alarm = self.alarms.min, alarm.at <= now {
            due.append(alarm)
            self.alarms.removeMin()
        }
        return due
    }

    mutating func clear() { self.alarms = Heap() }
}
