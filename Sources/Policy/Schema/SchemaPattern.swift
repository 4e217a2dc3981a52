internal import Domain

/// A regular expression that takes time linear in the text, whatever the text: all ways to match are followed at once,
/// none is ever gone back to, since the sender of the text could otherwise choose one that never ends. That leaves out
/// what needs going back, such as references to groups; `PatternParser` says what there is.
struct SchemaPattern: Sendable {
    /// One state; `set` names an entry of `sets`.
    enum Instruction: Sendable {
        case scalar(UInt32)
        case set(Int)
        case split(Int, Int)
        case jump(Int)
        case start
        case end
        case match
    }

    static let stateLimit = 2_000

    let text: String
    private let program: [Instruction]
    private let sets: [ScalarSet]
    /// Whether a match can only begin where the text does.
    private let isAnchored: Bool

    /// Throws `DomainError` that names what is not supported.
    init(_ text: String) throws(DomainError) {
        let tree = try PatternParser.parse(text)
        var assembly = PatternAssembly()
        try assembly.add(tree)
        try assembly.append(.match)
        self.text = text
        self.program = assembly.program
        self.sets = assembly.sets
        self.isAnchored = tree.isAnchored
    }

    /// Whether a part of the text matches. Each state that is entered is taken off the budget; once that is used up,
    /// the answer is no.
    func matches(_ text: String, budget: inout Int) -> Bool {
        var run = PatternRun(program: self.program, sets: self.sets, budget: budget)
        defer { budget = run.budget }
        var scalars = text.unicodeScalars.makeIterator()
        var next = scalars.next()
        if run.enter(0, isAtStart: true, isAtEnd: next == nil) { return true }
        while let scalar = next, run.budget >= 0 {
            next = scalars.next()
            if run.step(over: scalar.value, isAtEnd: next == nil) { return true }
            if self.isAnchored {
                if run.isOver { return false }
            } else if run.enter(0, isAtStart: false, isAtEnd: next == nil) {
                return true
            }
        }
        return false
    }
}

/// The states that are reached at one position of a text.
private struct PatternRun {
    private let program: [SchemaPattern.Instruction]
    private let sets: [ScalarSet]
    private(set) var budget: Int
    /// At which position each state was last entered: none is entered twice at one.
    private var marks: [Int]
    private var position = 1
    private var reached: [Int] = []
    private var pending: [Int] = []

    init(program: [SchemaPattern.Instruction], sets: [ScalarSet], budget: Int) {
        self.program = program
        self.sets = sets
        self.budget = budget
        self.marks = Array(repeating: 0, count: program.count)
    }

    var isOver: Bool { self.reached.isEmpty }

    /// Enters a state and all that follow without a character; true when the end of the pattern is among them.
    mutating func enter(_ state: Int, isAtStart: Bool, isAtEnd: Bool) -> Bool {
        self.pending.append(state)
        while let state = self.pending.popLast() {
            guard self.marks[state] != self.position else { continue }
            self.marks[state] = self.position
            self.budget -= 1
            switch self.program[state] {
            case .scalar, .set: self.reached.append(state)
            case .jump(let target): self.pending.append(target)
            case .split(let first, let second):
                self.pending.append(second)
                self.pending.append(first)
            case .start: if isAtStart { self.pending.append(state + 1) }
            case .end: if isAtEnd { self.pending.append(state + 1) }
            case .match: return true
            }
        }
        return false
    }

    mutating func step(over scalar: UInt32, isAtEnd: Bool) -> Bool {
        let states = self.reached
        self.reached.removeAll(keepingCapacity: true)
        self.position += 1
        for state in states {
            let isTaken =
                switch self.program[state] {
                case .scalar(let wanted): wanted == scalar
                case .set(let index): self.sets[index].contains(scalar)
                case .split, .jump, .start, .end, .match: false
                }
            if isTaken, self.enter(state + 1, isAtStart: false, isAtEnd: isAtEnd) { return true }
        }
        return false
    }
}

/// Turns the tree into states; what would be more than `SchemaPattern.stateLimit` is refused while it is written, as
/// repetitions of repetitions multiply.
private struct PatternAssembly {
    private(set) var program: [SchemaPattern.Instruction] = []
    private(set) var sets: [ScalarSet] = []

    mutating func append(_ instruction: SchemaPattern.Instruction) throws(DomainError) {
        guard self.program.count < SchemaPattern.stateLimit else {
            throw .invalidValue("it needs more than \(SchemaPattern.stateLimit) states: expected smaller repetitions")
        }
        self.program.append(instruction)
    }

    mutating func add(_ tree: PatternTree) throws(DomainError) {
        switch tree {
        case .set(let set):
            if let scalar = set.only { return try self.append(.scalar(scalar)) }
            try self.append(.set(self.sets.count))
            self.sets.append(set)
        case .start: try self.append(.start)
        case .end: try self.append(.end)
        case .sequence(let parts): for part in parts { try self.add(part) }
        case .choice(let parts): try self.add(choice: parts)
        case .repeated(let part, let minimum, let maximum):
            try self.add(repeated: part, minimum: minimum, maximum: maximum)
        }
    }

    private mutating func add(choice parts: [PatternTree]) throws(DomainError) {
        var exits: [Int] = []
        for (index, part) in parts.enumerated() {
            guard index < parts.count - 1 else {
                try self.add(part)
                break
            }
            let split = self.program.count
            try self.append(.split(split + 1, split + 1))
            try self.add(part)
            exits.append(self.program.count)
            try self.append(.jump(0))
            self.program[split] = .split(split + 1, self.program.count)
        }
        for exit in exits { self.program[exit] = .jump(self.program.count) }
    }

    private mutating func add(repeated part: PatternTree, minimum: Int, maximum: Int?) throws(DomainError) {
        for _ in 0..<minimum {
            let size = self.program.count
            try self.add(part)
            // Any number of nothing is nothing.
            if self.program.count == size { return }
        }
        guard let maximum else {
            let split = self.program.count
            try self.append(.split(split + 1, split + 1))
            try self.add(part)
            try self.append(.jump(split))
            self.program[split] = .split(split + 1, self.program.count)
            return
        }
        var splits: [Int] = []
        for _ in minimum..<max(minimum, maximum) {
            splits.append(self.program.count)
            try self.append(.split(0, 0))
            try self.add(part)
        }
        for split in splits { self.program[split] = .split(split + 1, self.program.count) }
    }
}
