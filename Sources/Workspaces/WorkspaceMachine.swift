/// Decides which of a workspace's deliveries run: a bounded number at once; the rest waits in order of arrival in a
/// bounded mailbox. Pure; `Workspace` carries out its decisions.
struct WorkspaceMachine<Item> {
    enum Admission {
        /// Run these now.
        case run([Item])
        /// The mailbox is full: run these, and release the refused ones.
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

    /// Admits a batch: as many run as may, the rest waits, and what the mailbox cannot hold is refused.
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

    /// A run ended. Returns the item that runs in its place, nil when none waits.
    mutating func finished() -> Item? {
        guard !self.mailbox.isEmpty, !self.isDraining else {
            self.running -= 1
            return nil
        }
        return self.mailbox.removeFirst()
    }

    /// Starts nothing more. Returns the items that waited, to be released.
    mutating func drained() -> [Item] {
        self.isDraining = true
        defer { self.mailbox = [] }
        return self.mailbox
    }
}
