/// A workspace's weight and limits, over all nodes.
package struct WorkspaceLimits: Hashable, Sendable {
    /// How many jobs may start per period. A burst may use one period's worth; after that, starts are spread evenly.
    package struct Rate: Hashable, Sendable {
        package let count: Int
        package let period: Duration

        /// Returns nil unless the count is from 1 to 1,000,000 and the period from 1 second to 1 day.
        package init?(count: Int, period: Duration) {
            guard (1...1_000_000).contains(count), (Duration.seconds(1)...Duration.seconds(86_400)).contains(period)
            else { return nil }
            self.count = count
            self.period = period
        }
    }

    /// Its share of the nodes relative to other workspaces with work, 1 to 100.
    package let weight: Int
    /// How many jobs may run at once; nil for no limit.
    package let concurrency: Int?
    /// How fast jobs may start; nil for no limit.
    package let rate: Rate?

    /// Returns nil when the weight is not from 1 to 100 or the concurrency not from 1 to 1,000,000.
    package init?(weight: Int = 1, concurrency: Int? = nil, rate: Rate? = nil) {
        guard (1...100).contains(weight), (1...1_000_000).contains(concurrency ?? 1) else { return nil }
        self.weight = weight
        self.concurrency = concurrency
        self.rate = rate
    }

    /// The stored form: `weight:concurrency:rate:period in ms`, 0 for no limit.
    var text: String {
        "\(self.weight):\(self.concurrency ?? 0):\(self.rate?.count ?? 0):\(self.rate?.period.milliseconds ?? 0)"
    }

    /// Reads the stored form; returns nil when it is malformed.
    init?(text: String) {
        let numbers = text.split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 4 else { return nil }
        self.init(
            weight: numbers[0], concurrency: numbers[1] == 0 ? nil : numbers[1],
            rate: Rate(count: numbers[2], period: .milliseconds(numbers[3])))
    }
}
