import Domain
import Foundation
import Jobs

/// Prints each state of a job once, with the time since the start.
struct StatePrinter {
    private let json: Bool
    private let print: @Sendable (String) -> Void
    private var last: JobState?
    private let start = ContinuousClock.now

    /// Prints nothing when the output is JSON.
    init(json: Bool, print: @escaping @Sendable (String) -> Void) {
        self.json = json
        self.print = print
    }

    mutating func show(_ job: JobRecord) {
        guard job.state != self.last else { return }
        self.last = job.state
        guard !self.json else { return }
        let seconds = (ContinuousClock.now - self.start) / .seconds(1)
        let place = job.state == .running ? " on \(Printable.text(job.node))" : ""
        self.print(String(format: "%6.2fs  %@%@", seconds, job.state.rawValue, place))
    }
}
