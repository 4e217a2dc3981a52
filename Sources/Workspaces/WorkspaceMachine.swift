/// Which of a workspace's deliveries may run: a bounded number at once, the rest in order of arrival in a
/// bounded mailbox. Pure; the actor around it runs what it says.
struct WorkspaceMachine<Item> {
    enum Admission {
        /// Run these now.
        case run([Item])
        /// The mailbox has no room for all; these must go back.
        case runAndReturn(run: [Item], refused: [Item])
    }

    private let concurrency: Int
    private let capacity: Int
    private(set) var running = 0
    private var mailbox: [Item] = []
    private(set) var isDraining = false

    init(concurrency: Int, capacity: Int) {
        self.concurrency = concurrency
        self.capacity = capacity
    }

    var waiting: Int { self.mailbox.count }

    /// Takes a batch: what fits runs, what does not waits, and what the mailbox cannot hold goes back.
    mutating func received(_ items: [Item]) -> Admission {
        guard !self.isDraining else { return .runAndReturn(run: [], refused: items) }
        let startable = max(0, min(items.count, self.concurrency - self.running))
        let run = Array(items.prefix(startable))
        self.running += run.count
        let room = self.capacity - self.mailbox.count
        let rest = items.dropFirst(startable)
        self.mailbox += rest.prefix(room)
        let refused = Array(rest.dropFirst(room))
        return refused.isEmpty ? .run(run) : .runAndReturn(run: run, refused: refused)
    }

    /// A run ended; the item to run in its place, if one waits.
    mutating func finished() -> Item? {
        guard !self.mailbox.isEmpty, !self.isDraining else {
            self.running -= 1
            return nil
        }
        return self.mailbox.removeFirst()
    }

    /// No more is started; what waited must go back.
    mutating func drained() -> [Item] {
        self.isDraining = true
        defer { self.mailbox = [] }
        return self.mailbox
    }
}
