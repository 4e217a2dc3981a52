import Domain
import TestSupport

@testable import Jobs

/// What a client asks for, and how the job behaves when it runs.
struct SimulatedRequest {
    let workspace: WorkspaceID
    let priority: Priority
    let start: JobStart
    let digest: [UInt8]
    let uniqueKey: UInt8?
    /// The job has an effect outside that must not happen twice.
    let isExternal: Bool
    let isCancelled: Bool
    /// Milliseconds that a run takes.
    let duration: UInt64
    /// Runs that fail before one completes.
    let failures: Int

    /// Requests of several workspaces; with several lanes there are more workspaces, and some jobs run for up to a minute.
    static func make(_ count: Int, lanes: Int, random: inout SeededRandom) throws -> [SimulatedRequest] {
        var workspaces = try ["free", "free", "narrow", "slow"].map { try WorkspaceID($0) }
        if lanes > 1 { workspaces += try (1...8).map { try WorkspaceID("free\($0)") } }
        return (0..<count).map { index in
            func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
            let isLong = lanes > 1 && chance(10)
            return SimulatedRequest(
                workspace: workspaces[Int.random(in: workspaces.indices, using: &random)],
                priority: Priority.allCases[Int.random(in: 0..<3, using: &random)],
                start: chance(20) ? .after(.seconds(Int.random(in: 1...20, using: &random))) : .now,
                digest: [UInt8](repeating: UInt8(index), count: 16),
                uniqueKey: chance(20) ? UInt8.random(in: 0..<3, using: &random) : nil,
                isExternal: chance(30), isCancelled: chance(15),
                duration: isLong
                    ? UInt64.random(in: 15_000...60_000, using: &random)
                    : UInt64.random(in: chance(20) ? 1000...9000 : 1...300, using: &random),
                failures: !isLong && chance(25) ? Int.random(in: 1...6, using: &random) : 0)
        }
    }

    /// The limits of the workspaces that have some.
    static func limits() throws -> [WorkspaceID: WorkspaceLimits] {
        let narrow = try WorkspaceID("narrow")
        let slow = try WorkspaceID("slow")
        return [
            narrow: WorkspaceLimits(concurrency: 2),
            slow: WorkspaceLimits(weight: 3, rate: WorkspaceLimits.Rate(count: 5, period: .seconds(2))),
        ].compactMapValues { $0 }
    }
}
