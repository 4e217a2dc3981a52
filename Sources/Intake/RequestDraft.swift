package import Domain
internal import Jobs
internal import Redaction

/// A request before it is validated: command-line flags, a JSON body, a line of a batch, a tick of a schedule.
package struct RequestDraft: Sendable {
    /// The fields of a draft. Each interface has its own names for them, such as the members of a JSON body.
    package enum Field: Hashable, Sendable, CaseIterable {
        case action, params, requestID, priority, delay, runAt, deadline, uniqueKey, tags, isRepeatable
    }

    package var action: String
    /// The bytes of one JSON object, as the submitter sent them.
    package var params: [UInt8]
    package var requestID: String
    package var priority: String?
    /// Seconds.
    package var delay: Int64?
    /// A time in RFC 3339.
    package var runAt: String?
    /// A time in RFC 3339.
    package var deadline: String?
    package var uniqueKey: String?
    package var tags: [String]
    /// Whether the submitter allows the effect to be repeated; nil leaves that to the action's definition.
    package var isRepeatable: Bool?

    /// Takes the fields as the submitter sent them; `request` validates them.
    package init(
        action: String, params: [UInt8], requestID: String, priority: String? = nil, delay: Int64? = nil,
        runAt: String? = nil, deadline: String? = nil, uniqueKey: String? = nil, tags: [String] = [],
        isRepeatable: Bool? = nil
    ) {
        self.action = action
        self.params = params
        self.requestID = requestID
        self.priority = priority
        self.delay = delay
        self.runAt = runAt
        self.deadline = deadline
        self.uniqueKey = uniqueKey
        self.tags = tags
        self.isRepeatable = isRepeatable
    }

    /// The allowed number of characters of a unique key.
    package static let uniqueKeyLength = 1...256

    /// Validates the draft. `now` is the queue's time in milliseconds since the epoch. Throws `DraftError` for the first
    /// invalid field.
    package func request(
        in workspace: WorkspaceID, actor: String, now: UInt64
    ) throws(DraftError) -> JobRequest {
        JobRequest(
            workspace: workspace,
            action: try Self.name(self.action, .action) { text throws(DomainError) in try ActionName(text) },
            requestID: try Self.name(self.requestID, .requestID) { text throws(DomainError) in try RequestID(text) },
            params: self.params, actor: actor, priority: try self.checkedPriority(), start: try self.start(now),
            deadline: try self.checkedDeadline(now), uniqueKey: try self.checkedUniqueKey(),
            tags: try self.checkedTags(), isRepeatable: self.isRepeatable)
    }

    /// Reads a name or an ID. Throws `DraftError` when it is invalid, or contains a credential: audit rows and lists would
    /// show it.
    package static func name<Value>(
        _ text: String, _ field: Field, _ read: (String) throws(DomainError) -> Value
    ) throws(DraftError) -> Value {
        guard Redactor.redacted(text) == text else {
            throw DraftError(field, "contains a credential; expected a name or an ID")
        }
        do throws(DomainError) { return try read(text) } catch { throw DraftError(field, sentence: error.message) }
    }

    private func checkedPriority() throws(DraftError) -> Priority {
        let name = self.priority ?? Priority.normal.name
        guard let priority = Priority.allCases.first(where: { $0.name == name }) else {
            throw DraftError(.priority, "must be one of \(Priority.allCases.map(\.name).joined(separator: ", "))")
        }
        return priority
    }

    private func start(_ now: UInt64) throws(DraftError) -> JobStart {
        if let delay {
            guard self.runAt == nil else {
                throw DraftError(.delay, "and \(DraftError.other(.runAt)) exclude each other")
            }
            guard delay >= 0, Duration.seconds(delay) <= JobStart.longestDelay else {
                throw DraftError(.delay, "must be from 0 to a year, in seconds")
            }
            return .after(.seconds(delay))
        }
        guard let runAt else { return .now }
        let time = try Self.time(runAt, .runAt)
        guard time <= now + UInt64(JobStart.longestDelay.components.seconds) * 1000 else {
            throw DraftError(.runAt, "must be within a year")
        }
        return .at(time)
    }

    private func checkedDeadline(_ now: UInt64) throws(DraftError) -> UInt64? {
        guard let deadline else { return nil }
        let time = try Self.time(deadline, .deadline)
        guard time > now else { throw DraftError(.deadline, "has already passed", isConflict: true) }
        return time
    }

    private static func time(_ text: String, _ field: Field) throws(DraftError) -> UInt64 {
        guard let time = RFC3339.milliseconds(of: text) else {
            throw DraftError(field, "must be a time such as 2026-12-24T18:00:00Z")
        }
        return time
    }

    private func checkedUniqueKey() throws(DraftError) -> String? {
        guard let uniqueKey else { return nil }
        guard Self.uniqueKeyLength.contains(uniqueKey.unicodeScalars.count) else {
            throw DraftError(.uniqueKey, "must have from 1 to 256 characters")
        }
        guard Redactor.redacted(uniqueKey) == uniqueKey else {
            throw DraftError(.uniqueKey, "contains a credential; expected a name")
        }
        return uniqueKey
    }

    private func checkedTags() throws(DraftError) -> [JobTag] {
        guard self.tags.count <= JobTag.limit else { throw DraftError(.tags, "must have at most \(JobTag.limit) tags") }
        guard Set(self.tags).count == self.tags.count else { throw DraftError(.tags, "must not contain a tag twice") }
        var tags: [JobTag] = []
        for tag in self.tags {
            tags.append(try Self.name(tag, .tags) { text throws(DomainError) in try JobTag(text) })
        }
        return tags
    }
}
