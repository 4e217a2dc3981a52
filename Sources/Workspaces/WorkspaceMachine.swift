/// Decides which deliveries of a workspace run: a bounded number at once. The others wait in a bounded mailbox, in order
/// of arrival. A pure state machine; `Workspace` carries out its decisions.
struct WorkspaceMachine<Item> {
    /// The decision about a batch.
    enum Admission {
        /// Run these items now.
        case run([Item])
        /// Run some items now; release the refused ones, for which the mailbox has no space.
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

    /// Takes a batch: runs as many items as the limit permits, and stores the others while the mailbox has space. While
    /// draining it refuses all.
    mutating func received(_ items: [Item]) -> Admission {
        guard !self.isDraining else { return .runAndReturn(run: [], refused: items) }
        let startable = max(0, min(items.count, self.concurrency - self.running))
        let run = Array(items.prefix(startable))
        self.running += run.count
        let space = self.capacity - self.mailbox.count
        let rest = items.dropFirst(startable)
        self.mailbox += rest.prefix(space)
        let refused = Array(rest.dropFirst(space))
        return refused.isEmpty ? .run(run) : .runAndReturn(run: run, refused: refused)
    }

    /// A run ended. Returns the next item to run, if one waits.
    mutating func finished() -> Item? {
        guard !self.mailbox.isEmpty, !self.isDraining else {
            self.running -= 1
            return nil
        }
        return self.mailbox.removeFirst()
    }

    /// Starts no more items, and returns the waiting ones for release.
    mutating func drained() -> [Item] {
        self.isDraining = true
        defer { self.mailbox = [] }
        return self.mailbox
    }
}
