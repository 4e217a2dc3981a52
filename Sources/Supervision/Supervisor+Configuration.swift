internal import Domain

extension Supervisor {
    /// What OTP calls the supervisor's flags.
    package struct Configuration: Hashable, Sendable {
        /// In logs, metrics and the tree. Only what stands before the first space becomes a metric's label, so
        /// that `agent 01K…` counts as `agent`.
        package var name: String
        package var strategy: RestartStrategy
        /// More restarts than this within `period` end the supervisor (OTP's default: 1 in 5 s).
        package var intensity: Int
        /// Whole seconds, as in OTP, which counts in them.
        package var period: Duration
        package var autoShutdown: AutoShutdown

        /// Defaults to one-for-one, 1 restart in 5 s and no automatic shutdown; checks nothing.
        package init(
            name: String, strategy: RestartStrategy = .oneForOne, intensity: Int = 1, period: Duration = .seconds(5),
            autoShutdown: AutoShutdown = .never
        ) {
            self.name = name
            self.strategy = strategy
            self.intensity = intensity
            self.period = period
            self.autoShutdown = autoShutdown
        }

        /// The name's part that may be a label.
        package var kind: String { String(self.name.prefix { $0 != " " }) }

        /// Throws `SupervisionError.invalidSpecification`, naming the supervisor or child and the rule.
        func check(_ children: [ChildSpecification]) throws(SupervisionError) {
            try self.checkFlags()
            if self.strategy == .simpleOneForOne, children.count != 1 { throw self.refusal(.oneTemplate) }
            var ids: Set<String> = []
            for child in children {
                try self.check(child)
                guard ids.insert(child.id).inserted else { throw self.refusal(.duplicateID, of: child) }
            }
        }

        /// The part that needs no child, looked at first.
        package func checkFlags() throws(SupervisionError) {
            guard self.intensity >= 0 else { throw self.refusal(.invalidIntensity) }
            guard self.period >= .seconds(1), self.period.components.attoseconds == 0 else {
                throw self.refusal(.invalidPeriod)
            }
        }

        func check(_ child: ChildSpecification) throws(SupervisionError) {
            if let rule = self.rule(brokenBy: child) { throw self.refusal(rule, of: child) }
        }

        private func rule(brokenBy child: ChildSpecification) -> SpecificationRule? {
            if child.id.isEmpty { return .emptyID }
            if child.isSignificant, self.autoShutdown == .never { return .significantWithoutAutoShutdown }
            if child.isSignificant, child.restart == .permanent { return .significantPermanent }
            if case .timeout(let limit) = child.shutdown, limit < .zero { return .invalidShutdown }
            if let backoff = child.backoff,
                backoff.first <= .zero || backoff.longest < backoff.first || backoff.resetAfter < .zero
            {
                return .invalidBackoff
            }
            if let limit = child.heartbeatLimit, limit <= .zero { return .invalidHeartbeatLimit }
            return nil
        }

        private func refusal(_ rule: SpecificationRule, of child: ChildSpecification? = nil) -> SupervisionError {
            let subject = child.map { "the child '\($0.id)' of the supervisor '\(self.name)'" }
            return SupervisionError(
                code: .invalidSpecification(rule),
                message: "\(subject ?? "the supervisor '\(self.name)'") is refused: \(rule.rawValue)")
        }
    }
}
