import Budgets
import Credentials
import Cryptography
import Domain
import Egress
import EgressServer
import Logging
import ModelUsage
import Redis

/// Admits the calls of models that sandboxes make: the credential of the entry, and the budgets of the caller. Each call is
/// reserved before it is sent and settled at its end.
struct ModelAdmission: Sendable {
    private let credentials: ProviderCredentialStore
    private let budgets: BudgetStore
    private let prices: PriceTable
    /// Milliseconds since the epoch by the queue's clock.
    private let now: @Sendable () -> UInt64
    private let logger: Logger
    private let failures = LogThrottle()
    /// Receives each share of a limit that was reached.
    private let reached: @Sendable (ReachedShare) async -> Void

    /// `client` is that of the queue's first lane. Throws `CryptographyError`.
    init(
        client: RedisClient, master: SealingKey, prices: PriceTable, now: @escaping @Sendable () -> UInt64,
        logger: Logger, reached: @escaping @Sendable (ReachedShare) async -> Void
    ) throws {
        self.credentials = try ProviderCredentialStore(client: client, master: master)
        self.budgets = BudgetStore(client: client)
        self.prices = prices
        self.now = now
        self.logger = logger
        self.reached = reached
    }

    /// The answer to a call that the rules allow. What cannot be read refuses it.
    func admit(_ event: JSONValue, of workspace: WorkspaceID) async -> EgressAcknowledgement {
        do {
            var answer = EgressAcknowledgement()
            if let name = event["credential"]?.string {
                let host = event["host"]?.string ?? ""
                guard
                    let credential = try await self.credentials.credential(try DefinitionName(name), of: workspace),
                    credential.hosts.contains(host)
                else {
                    return Self.refused(
                        .credentialMissing,
                        "the workspace has no credential '\(name)' for \(host); the operator adds it with: orchestra credentials add"
                    )
                }
                answer.credential = credential.value
            }
            // What is not understood is not admitted.
            guard let call = Call(event), !call.isCharged || Self.reservation(event) != nil else {
                return Self.refused(.auditUnavailable, "the call is not understood by this node")
            }
            guard call.isCharged, let id = Self.reservation(event) else { return answer }
            switch try await self.reserve(id, call, self.subject(event, workspace)) {
            case .refused(let refusal): return Self.refused(.budgetSpent, refusal.message)
            case .admitted, .duplicate: return answer
            }
        } catch let error as ModelUsageError where error.code == .unknownModel {
            return Self.refused(.modelNotAllowed, error.message)
        } catch {
            if let count = self.failures.note(at: self.now()) {
                self.logger.error(
                    "calls of models could not be admitted",
                    metadata: ["calls.count": "\(count)", "reason": "\(Printable.text("\(error)", limit: 300))"])
            }
            // Redis may have reserved for the call, and its answer was lost.
            await self.cancel(event)
            return Self.refused(.auditUnavailable, "the budgets and credentials cannot be read now")
        }
    }

    private func reserve(
        _ id: String, _ call: Call, _ subject: BudgetSubject
    ) async throws -> BudgetLedger.Decision {
        let limits = try await self.budgets.limits()
        // A price must be known only where money is limited.
        let isPriced = limits.contains { $0.unit == .money && $0.covers(subject) }
        let cost =
            isPriced
            ? try self.prices.highestCost(
                input: call.input, output: call.output, model: call.model, provider: call.provider, tier: call.tier)
            : .zero
        let amounts = BudgetAmounts(reservingInput: call.input, maximumOutput: call.output, highestCost: cost)
        let (decision, reached) = try await self.budgets.reserve(
            id: id, for: subject, amounts, in: limits, now: self.now())
        for share in reached { await self.reached(share) }
        return decision
    }

    /// Settles the call of an event at its end and returns its cost; nil for an event of another kind. A settlement that
    /// cannot be stored is left to the end of the lease, which spends the reservation in full.
    func settle(_ event: JSONValue) async -> Money? {
        guard let call = Call(event), call.isCharged, let reservation = Self.reservation(event) else { return nil }
        let usage = call.boundedUsage
        let cost = usage.flatMap { self.cost(of: $0, call) } ?? .zero
        let seconds = UInt64(clamping: (event["duration_ms"]?.integer ?? 0) / 1000)
        let actual = usage.map { BudgetAmounts(usage: $0, cost: cost, seconds: seconds) } ?? BudgetAmounts()
        do {
            for share in try await self.budgets.settle(id: reservation, actual) ?? [] { await self.reached(share) }
        } catch {
            if let count = self.failures.note(at: self.now()) {
                self.logger.warning(
                    "calls of models could not be settled",
                    metadata: ["calls.count": "\(count)", "reason": "\(Printable.text("\(error)", limit: 300))"])
            }
        }
        return cost
    }

    /// The name of the reservation of an event's call: the server's own, within the job.
    private static func reservation(_ event: JSONValue) -> String? {
        event["model"]?["reservation"]?.string.map { "\(event["job"]?.string ?? "")/\($0)" }
    }

    /// Ends the reservation of a call that is not made.
    func cancel(_ event: JSONValue) async {
        guard let reservation = Self.reservation(event) else { return }
        do { _ = try await self.budgets.settle(id: reservation, BudgetAmounts()) } catch {
            self.logger.warning("a reservation could not be cancelled", metadata: ["reason": "\(error)"])
        }
    }

    private func cost(of usage: TokenUsage, _ call: Call) -> Money? {
        var usage = usage
        // A model without a price, by the provider's word, costs as much as the one that was asked for.
        for name in [usage.model, call.model] {
            usage.model = name
            do throws(ModelUsageError) {
                return try self.prices.cost(of: usage, provider: call.provider, tier: call.tier)
            } catch {
                continue
            }
        }
        // Without a price there is no limit of money either; the tokens are counted.
        return nil
    }

    private func subject(_ event: JSONValue, _ workspace: WorkspaceID) -> BudgetSubject {
        let job = event["job"]?.string ?? ""
        return BudgetSubject(
            tenant: workspace.name, workspace: workspace.name, definition: event["definition"]?.string ?? "", job: job,
            run: "\(job)/\(event["launch"]?.integer ?? 0)")
    }

    private static func refused(_ reason: EgressReason, _ message: String) -> EgressAcknowledgement {
        EgressAcknowledgement(refusal: .init(reason, message))
    }

    /// What the event says of a call.
    private struct Call {
        let provider: ModelProvider
        let model: String?
        let tier: String?
        let isCharged: Bool
        let input: UInt64
        let output: UInt64
        /// Nil when nothing was sent.
        let usage: TokenUsage?

        /// An estimate, which may rest on numbers that are not plausible, is at most what the call could use.
        var boundedUsage: TokenUsage? {
            guard var usage = self.usage, usage.isEstimated else { return self.usage }
            usage.output = min(usage.output, self.output)
            usage.input = min(usage.input, self.input.addingSaturated(4096))
            usage.cacheRead = min(usage.cacheRead, self.input)
            usage.cacheWrite = min(usage.cacheWrite, self.input)
            return usage
        }

        init?(_ event: JSONValue) {
            guard let model = event["model"],
                let provider = model["provider"]?.string.flatMap({ ModelProvider(rawValue: $0) })
            else { return nil }
            func number(_ value: JSONValue?) -> UInt64 { UInt64(clamping: value?.integer ?? 0) }
            self.provider = provider
            self.model = model["name"]?.string
            self.tier = model["tier"]?.string
            self.isCharged = model["charged"]?.bool ?? false
            self.input = number(model["input_estimate"])
            self.output = number(model["output_limit"])
            guard let usage = model["usage"], usage != .null else {
                self.usage = nil
                return
            }
            self.usage = TokenUsage(
                input: number(usage["input"]), output: number(usage["output"]), cacheRead: number(usage["cache_read"]),
                cacheWrite: number(usage["cache_write"]), cacheWriteHour: number(usage["cache_write_hour"]),
                model: usage["model"]?.string, isEstimated: usage["estimated"]?.bool ?? false)
        }
    }
}
