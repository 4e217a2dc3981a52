internal import Domain

/// A job's record as it is stored. The server-side functions read and write the same bytes.
///
/// 0: state code; 1–6: end, in milliseconds since the epoch, 0 when the job has not ended; 7–10: run time in
/// milliseconds; 11: failures; 12: crashes; 13–14: length of the reason, then the reason; then action, node and tags
/// (joined by commas), each after its length in one byte; then the sealed terms after their length in two
/// bytes; the rest is the sealed result. Numbers are big-endian.
///
/// Tags of 255 bytes and more follow the byte 255 and their length in two bytes.
struct StoredRecord: Hashable, Sendable {
    var state: JobState
    /// Milliseconds since the epoch; 0 when the job has not ended.
    var ended: UInt64 = 0
    /// Milliseconds.
    var runTime: UInt64 = 0
    var failures = 0
    var crashes = 0
    var reason = ""
    var action = ""
    var node = ""
    var tags: [String] = []
    /// Sealed; empty when there are none.
    var terms: [UInt8] = []
    var result: [UInt8] = []

    /// The stored form. A reason of more than 65,535 bytes is cut.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(40 + self.reason.utf8.count + self.result.count)
        bytes.append(self.state.code)
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
        // A submission's are far shorter: a unique key has at most 256 characters.
        let terms = self.terms.count <= UInt16.max ? self.terms : []
        bytes += [UInt8(truncatingIfNeeded: terms.count >> 8), UInt8(truncatingIfNeeded: terms.count)]
        bytes += terms
        bytes += self.result
        return bytes
    }

    /// Names have at most 64 bytes; longer ones would be cut.
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

    /// Eight tags of 63 bytes and the commas between them.
    private static let tagsLimit = 511
}

extension StoredRecord {
    /// Reads the stored form; returns nil when it is malformed.
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
            let isLong = rest.first == 255
            if isLong { rest = rest.dropFirst() }
            return text(isLong ? 2 : 1)
        }
        func block() -> [UInt8]? {
            guard let count = number(2), rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(Int(count)) }
            return Array(rest.prefix(Int(count)))
        }
        guard let code = number(1), let state = JobState(code: UInt8(code)), let ended = number(6),
            let runTime = number(4), let failures = number(1), let crashes = number(1), let reason = text(2),
            let action = text(1), let node = text(1), let tags = tagText(),
            let terms = block()
        else { return nil }
        self.init(
            state: state, ended: ended, runTime: runTime, failures: Int(failures), crashes: Int(crashes),
            reason: reason, action: action, node: node, tags: tags.split(separator: ",").map(String.init),
            terms: terms, result: Array(rest))
    }

    /// Returns the record as people see it. `runner` is the node that holds the job now, empty for none; failures and
    /// crashes are those of the side records, which are newer while the job has not ended.
    func jobRecord(
        id: JobID, runner: String, failures: Int, crashes: Int, progress: SealedProgress?
    ) -> JobRecord {
        JobRecord(
            id: id, state: runner.isEmpty ? self.state : .running, action: self.action,
            // Without a node the job never ran.
            startedAt: self.ended > 0 && !self.node.isEmpty ? self.ended - min(self.ended, self.runTime) : 0,
            finishedAt: self.ended, failures: max(self.failures, failures), crashes: max(self.crashes, crashes),
            node: runner.isEmpty ? self.node : runner, reason: self.reason, tags: self.tags, progress: progress,
            sealedTerms: self.terms, sealedResult: self.result)
    }
}

extension StoredRecord {
    /// The record of a new job.
    init(_ submission: SealedSubmission, state: JobState) {
        self.init(
            state: state, action: submission.action.name, tags: submission.tags.map(\.name),
            terms: submission.sealedTerms)
    }

    /// The record after a completion. The functions set the end of a job that has ended.
    init(_ completion: Completion, node: NodeID) {
        self.init(
            state: completion.end.state, runTime: UInt64(clamping: completion.runTime.milliseconds),
            failures: completion.failures, crashes: completion.crashes, reason: completion.reason,
            action: completion.action, node: node.name, tags: completion.tags.map(\.name),
            terms: completion.sealedTerms, result: completion.sealedResult)
    }
}
