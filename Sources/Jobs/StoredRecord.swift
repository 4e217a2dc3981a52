internal import Domain

/// A job's record as it is stored; the queue's functions read the same bytes.
///
/// 0: the state's letter; 1–6: when it ended, in milliseconds, 0 as long as it has not; 7–10: how long it ran, in
/// milliseconds; 11: failures; 12: crashes; 13–14: length of the reason, then the reason; action, node and tags (joined
/// by commas), each behind its length in one byte; the rest is the sealed result. Numbers have their first byte first.
///
/// Tags of 255 bytes and more follow the byte 255 and their length in two bytes. Records of earlier builds have 255
/// bytes of text there, and no tag begins with a byte as small as the first of such a length.
struct StoredRecord: Hashable, Sendable {
    var state: JobState
    var ended: UInt64 = 0
    var runTime: UInt64 = 0
    var failures = 0
    var crashes = 0
    var reason = ""
    var action = ""
    var node = ""
    var tags: [String] = []
    var result: [UInt8] = []

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(40 + self.reason.utf8.count + self.result.count)
        bytes.append(self.state.letter)
        for shift in stride(from: 40, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: self.ended >> shift))
        }
        let runTime = min(self.runTime, UInt64(UInt32.max))
        for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: runTime >> shift)) }
        bytes.append(UInt8(clamping: self.failures))
        bytes.append(UInt8(clamping: self.crashes))
        let reason = self.reason.utf8.prefix(Int(UInt16.max))
        bytes.append(UInt8(truncatingIfNeeded: reason.count >> 8))
        bytes.append(UInt8(truncatingIfNeeded: reason.count))
        bytes += reason
        Self.append(self.action, to: &bytes)
        Self.append(self.node, to: &bytes)
        self.appendTags(to: &bytes)
        bytes += self.result
        return bytes
    }

    /// The longest names have 64 bytes; more would be cut.
    private static func append(_ text: String, to bytes: inout [UInt8]) {
        let part = text.utf8.prefix(255)
        bytes.append(UInt8(part.count))
        bytes += part
    }

    /// As many whole tags as `tagsLimit` has room for: all that a submission may carry.
    private func appendTags(to bytes: inout [UInt8]) {
        var text: [UInt8] = []
        for tag in self.tags where text.count + 1 + tag.utf8.count <= Self.tagsLimit + (text.isEmpty ? 1 : 0) {
            if !text.isEmpty { text.append(UInt8(ascii: ",")) }
            text += tag.utf8
        }
        if text.count < 255 {
            bytes.append(UInt8(text.count))
        } else {
            bytes += [255, UInt8(text.count >> 8), UInt8(truncatingIfNeeded: text.count)]
        }
        bytes += text
    }

    /// Eight tags of 63 bytes and the commas between them; a length whose first byte is 0 or 1.
    private static let tagsLimit = 511
}

extension StoredRecord {
    /// Nil for bytes that are no record.
    init?(bytes: ArraySlice<UInt8>) {
        var rest = bytes
        func number(_ count: Int) -> UInt64? {
            guard rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count).reduce(0) { $0 << 8 | UInt64($1) }
        }
        func text(_ lengthBytes: Int) -> String? {
            guard let count = number(lengthBytes), rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(Int(count)) }
            return String(decoding: rest.prefix(Int(count)), as: UTF8.self)
        }
        func tagText() -> String? {
            let isLong = rest.first == 255 && (rest.dropFirst().first ?? 255) < 2
            if isLong { rest = rest.dropFirst() }
            return text(isLong ? 2 : 1)
        }
        guard let letter = number(1), let state = JobState(letter: UInt8(letter)), let ended = number(6),
            let runTime = number(4), let failures = number(1), let crashes = number(1), let reason = text(2),
            let action = text(1), let node = text(1), let tags = tagText()
        else { return nil }
        self.init(
            state: state, ended: ended, runTime: runTime, failures: Int(failures), crashes: Int(crashes),
            reason: reason, action: action, node: node, tags: tags.split(separator: ",").map(String.init),
            result: Array(rest))
    }

    /// The record for people: `runner` is the node that runs the job now, tries those noted beside the record.
    func shown(
        id: JobID, runner: String, failures: Int, crashes: Int, progress: JobProgress?
    ) -> JobRecord {
        JobRecord(
            id: id, state: runner.isEmpty ? self.state : .running, action: self.action,
            // One that no node ended never ran.
            startedAt: self.ended > 0 && !self.node.isEmpty ? self.ended - min(self.ended, self.runTime) : 0,
            finishedAt: self.ended, failures: max(self.failures, failures), crashes: max(self.crashes, crashes),
            node: runner.isEmpty ? self.node : runner, reason: self.reason, tags: self.tags, progress: progress,
            sealedResult: self.result)
    }
}

extension StoredRecord {
    /// What a submission leaves.
    init(_ submission: SealedSubmission, state: JobState) {
        self.init(state: state, action: submission.action.name, tags: submission.tags.map(\.name))
    }

    /// What a completion leaves. A job that goes on has not ended.
    init(_ completion: Completion, node: NodeID) {
        self.init(
            state: completion.end.state, runTime: UInt64(clamping: completion.runTime.milliseconds),
            failures: completion.failures, crashes: completion.crashes, reason: completion.reason,
            action: completion.action, node: node.name, tags: completion.tags.map(\.name),
            result: completion.sealedResult)
    }
}

extension JobState {
    /// Its letter in stored records and in the functions' answers.
    var letter: UInt8 {
        switch self {
        case .scheduled: UInt8(ascii: "s")
        case .available: UInt8(ascii: "a")
        case .running: UInt8(ascii: "R")
        case .retryable: UInt8(ascii: "r")
        case .completed: UInt8(ascii: "c")
        case .cancelled: UInt8(ascii: "x")
        case .discarded: UInt8(ascii: "d")
        case .unresolved: UInt8(ascii: "u")
        }
    }

    init?(letter: UInt8) {
        guard let state = Self.allCases.first(where: { $0.letter == letter }) else { return nil }
        self = state
    }
}
