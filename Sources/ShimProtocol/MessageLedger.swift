/// How far each message to an agent has come. Pure: events of the terminal come in, receipts go out.
///
/// A message is identified by its key. Sent again, because an answer was lost, it gets the receipt of the stage that it has
/// reached, and is not typed again. Another message under the same key is not the same message.
package struct MessageLedger {
    /// A message that is `refused` reached no other stage; every other stage means that all before it were reached.
    package enum Stage: UInt8, Hashable, Sendable, CaseIterable {
        /// The message waits for the terminal.
        case queued = 1
        /// All of it is in the terminal's input.
        case written = 2
        /// The program has read all that was in the terminal's input.
        case consumed = 3
        /// After that the program wrote something other than the message's echo.
        case answered = 4
        case refused = 5

        package var name: String { "\(self)" }
    }

    /// The stage that a message has reached.
    package struct Receipt: Hashable, Sendable {
        package let key: [UInt8]
        package let stage: Stage
        /// The length of the terminal's log when the stage was reached.
        package let offset: UInt64
        /// Why it was refused; else empty.
        package let reason: String

        /// Takes the parts as given; checks nothing.
        package init(key: [UInt8], stage: Stage, offset: UInt64, reason: String = "") {
            self.key = key
            self.stage = stage
            self.offset = offset
            self.reason = reason
        }
    }

    private var receipts: [[UInt8]: Receipt] = [:]
    /// The hashes of the contents, by key.
    private var contents: [[UInt8]: Int] = [:]
    /// Keys by age. Refused messages are not among them: they may be sent again.
    private var order: [[UInt8]] = []
    /// Keys of messages that are not answered, by age.
    private var open: [[UInt8]] = []
    private var echoes = EchoFilter()
    /// Keys of messages that control sequences answer as well as text does.
    private var answeredBySequences: Set<[UInt8]> = []

    /// Messages that are remembered; the oldest that are answered are dropped first.
    package static let limit = 1024

    /// Starts without messages.
    package init() {}

    /// The receipt of a message that was sent before, nil for a new one.
    package func known(_ key: [UInt8]) -> Receipt? { self.receipts[key] }

    /// True when the message that was sent under the key has another content, which `content` is a hash of.
    package func isOther(_ key: [UInt8], content: Int) -> Bool {
        self.contents[key].map { $0 != content } ?? false
    }

    /// True while the program has not read some message that is written.
    package var isWaitingForReader: Bool { self.open.contains { self.receipts[$0]?.stage == .written } }

    /// Takes a new message, with a hash of its content. Nil when too many wait already.
    package mutating func queue(_ key: [UInt8], content: Int = 0, at offset: UInt64) -> Receipt? {
        if self.order.count >= Self.limit {
            guard let old = self.order.firstIndex(where: { self.receipts[$0]?.stage == .answered }) else { return nil }
            let key = self.order.remove(at: old)
            self.receipts[key] = nil
            self.contents[key] = nil
        }
        let receipt = Receipt(key: key, stage: .queued, offset: offset)
        self.receipts[key] = receipt
        self.contents[key] = content
        self.order.append(key)
        self.open.append(key)
        return receipt
    }

    /// The terminal begins to take the message; `echo` is what may be echoed of it. With `isAnsweredBySequences` a movement
    /// of the cursor is an answer, too, as it is to a key.
    package mutating func began(_ key: [UInt8], echo: [UInt8], isAnsweredBySequences: Bool = false) {
        guard self.receipts[key] != nil else { return }
        self.echoes.expect(echo, of: key)
        if isAnsweredBySequences { self.answeredBySequences.insert(key) }
    }

    /// All of the message is in the terminal's input.
    package mutating func written(_ key: [UInt8], at offset: UInt64) -> Receipt? {
        self.advance([key], from: .queued, to: .written, at: offset).first
    }

    /// The terminal's input is empty.
    package mutating func inputIsEmpty(at offset: UInt64) -> [Receipt] {
        self.advance(self.open, from: .written, to: .consumed, at: offset)
    }

    /// The program wrote these bytes, after which the log has this length.
    package mutating func output(_ bytes: [UInt8], at offset: UInt64) -> [Receipt] {
        guard !self.open.isEmpty else { return [] }
        let finding = self.echoes.take(bytes)
        guard finding.hasText || finding.hasSequence else { return [] }
        let answered = self.open.filter { finding.hasText || self.answeredBySequences.contains($0) }
        let receipts = self.advance(answered, from: .consumed, to: .answered, at: offset)
        for receipt in receipts {
            self.echoes.forget(receipt.key)
            self.answeredBySequences.remove(receipt.key)
        }
        if !receipts.isEmpty { self.open.removeAll { self.receipts[$0]?.stage == .answered } }
        return receipts
    }

    private mutating func advance(
        _ keys: [[UInt8]], from: Stage, to stage: Stage, at offset: UInt64
    ) -> [Receipt] {
        keys.compactMap { key in
            guard self.receipts[key]?.stage == from else { return nil }
            let receipt = Receipt(key: key, stage: stage, offset: offset)
            self.receipts[key] = receipt
            return receipt
        }
    }
}
