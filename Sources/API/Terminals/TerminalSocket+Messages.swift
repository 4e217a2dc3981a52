internal import Audit
internal import CoreMetrics
internal import Domain
internal import HTTPTypes
internal import Jobs
internal import Logging
internal import NIOCore
internal import NIOWebSocket
internal import Policy
internal import ShimProtocol

extension TerminalSocket {
    /// Messages that may be on their way to the terminal at once.
    private static let inFlight = 16

    // MARK: - Deciding

    /// Decides about a message. Every one that is refused is in the audit trail: alone, or, where it came too fast,
    /// counted (see `recordRefusals`). Throws `WebSocketClosing` after too many refusals.
    func take(_ message: [UInt8], _ conversation: inout WebSocketConversation, _ link: TerminalLink) async throws {
        guard conversation.admitMessage(at: .now) else {
            self.services.refusals.increment()
            try await self.refuse(
                Problem.Code.rateLimited.rawValue, "more than ten messages in a second; the message was not read", nil,
                link)
            guard !conversation.isOverRefusalLimit else { throw WebSocketClosing(code: .policyViolation) }
            return
        }
        var key: String?
        do {
            let input = try self.decide(try TerminalMessage(message, name: &key), conversation)
            conversation.inFlight += 1
            link.inputs.yield(input)
        } catch {
            let problem = self.problem(error)
            do {
                try await self.record(problem)
                try await self.refuse(problem.code.rawValue, problem.detail, key, link)
            } catch let unavailable as Problem {
                try await self.refuse(unavailable.code.rawValue, unavailable.detail, key, link)
            }
        }
    }

    private func decide(_ message: TerminalMessage, _ conversation: WebSocketConversation) throws -> Input {
        let workspace = self.principal.workspace
        if case .deny(let denial) = self.services.policy.authorize(self.principal, .typeToAgent, in: workspace) {
            throw Problem(.forbidden, denial.reason, rule: denial.rule)
        }
        guard conversation.inFlight < Self.inFlight else {
            throw Problem(
                .rateLimited, "\(Self.inFlight) messages of this connection are on their way already", rule: "streams")
        }
        guard let ticket = self.services.streams.enter(.message, workspace, self.agent.job.id) else {
            throw Call.tooManyMessages
        }
        return Input(input: message.input, key: message.key, until: message.until, ticket: ticket)
    }

    private func problem(_ error: any Error) -> Problem {
        switch error {
        case let error as Problem: error
        case let error as InputError: Problem(.invalid, error.message)
        default: Problem(.failed, "the message could not be read")
        }
    }

    // MARK: - The audit trail

    /// Writes the row of a message that was refused.
    private func record(_ problem: Problem) async throws {
        try await self.gatekeeper.append(
            self.row(status: Int(problem.status.code), rule: problem.rule, reason: problem.detail))
    }

    /// Writes one row for the messages that were refused for their rate since the last one.
    func recordRefusals(_ conversation: inout WebSocketConversation) async {
        let count = conversation.takeUnrecorded()
        guard count > 0 else { return }
        var event = self.row(
            status: 429, rule: "rate:messages", reason: "\(count) messages were refused: more than ten in a second")
        event.count = count
        do {
            try await self.gatekeeper.append(event)
        } catch {
            self.services.logger.error(
                "refused messages could not be written to the audit trail",
                metadata: ["request.id": "\(self.requestID)", "messages": "\(count)"])
        }
    }

    private func row(status: Int, rule: String, reason: String) -> AuditEvent {
        var event = AuditEvent(
            kind: .request, workspace: self.principal.workspace, actor: self.principal.actor,
            action: Operation.typeToAgent.rawValue, jobID: self.agent.job.id, status: String(status), rule: rule,
            duration: .zero, errorReason: reason, paramsDigest: [], node: self.services.node,
            time: self.services.now())
        event.requestID = self.requestID
        return event
    }

    private func event(_ key: Domain.RequestID, digest: [UInt8]) -> [UInt8] {
        var event = AuditEvent(
            kind: .typed, workspace: self.principal.workspace, actor: self.principal.actor, action: key.description,
            jobID: self.agent.job.id, status: "asked", rule: "websocket", duration: .zero, errorReason: "",
            paramsDigest: digest, node: self.services.node, time: self.services.now())
        event.requestID = self.requestID
        return event.encoded
    }

    // MARK: - Typing

    /// Types messages in the order of arrival: the next one goes when the one before has its first receipt.
    func type(_ inputs: AsyncStream<Input>, _ link: TerminalLink) async {
        await withDiscardingTaskGroup { group in
            for await input in inputs {
                let first = FirstReceipt()
                group.addTask {
                    link.feed.yield(await self.type(input, first))
                    first.arrived()
                }
                await first.wait()
            }
            group.cancelAll()
        }
    }

    private func type(_ input: Input, _ first: FirstReceipt) async -> Item {
        defer { withExtendedLifetime(input.ticket) {} }
        do {
            let last = try await self.agent.type(
                input.input, key: input.key, until: input.until, event: { self.event(input.key, digest: $0) },
                onReceipt: { _ in first.arrived() })
            return .receipt(input.key, last)
        } catch let problem as Problem {
            return .problem(input.key.description, problem)
        } catch {
            return .problem(
                input.key.description,
                Problem(.unavailable, "the audit trail cannot be written, so the message was not typed"))
        }
    }

    /// Answers a message that was refused.
    func refuse(_ code: String, _ detail: String, _ key: String?, _ link: TerminalLink) async throws {
        try await link.send([
            "type": "error", "code": .string(code), "detail": .string(detail),
            "message_id": key.map { .string($0) } ?? .null,
        ])
    }
}
