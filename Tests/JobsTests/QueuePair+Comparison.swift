import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// Comparing replies and choosing arguments.
extension QueuePair {
    func outcomes<Value: Sendable>(
        _ redis: () async throws -> Value, _ model: () throws -> Value
    ) async -> (Result<Value, JobQueueError>, Result<Value, JobQueueError>) {
        func plain(_ error: any Error) -> JobQueueError {
            JobQueueError(code: (error as? JobQueueError)?.code ?? .failed, message: "")
        }
        var left: Result<Value, JobQueueError>
        do { left = .success(try await redis()) } catch {
            left = .failure(plain(error))
            if case .failure(let code) = left, code.code == .failed {
                left = .failure(JobQueueError(code: .failed, message: "\(error)"))
            }
        }
        do { return (left, .success(try model())) } catch { return (left, .failure(plain(error))) }
    }

    mutating func learn(
        _ what: String, _ node: NodeIdentity, _ redis: Result<[Delivery], JobQueueError>,
        _ model: Result<[Delivery], JobQueueError>, sorted: Bool
    ) throws {
        func ordered(_ deliveries: [Delivery]) -> [Delivery] {
            guard sorted else { return deliveries }
            return deliveries.sorted { left, right in
                (left.workspace.name, left.entry.priority.rawValue, left.entry.id)
                    < (right.workspace.name, right.entry.priority.rawValue, right.entry.id)
            }
        }
        func plain(_ delivery: Delivery) -> String {
            let job = delivery.jobID.map { "\($0)" } ?? "none"
            return "\(delivery.workspace) \(delivery.entry.priority) \(job) "
                + "\(delivery.failures):\(delivery.crashes) \(delivery.envelope.count) \(delivery.isRecovered) "
                + "\(delivery.isElsewhere)"
        }
        let (left, right) = (redis.map(ordered), model.map(ordered))
        try self.same(what, left.map { $0.map(plain) }, right.map { $0.map(plain) })
        if case (.success(let left), .success(let right)) = (left, right) {
            for (redis, model) in zip(left, right) { self.known.append((node, Twins(redis: redis, model: model))) }
        }
        if self.known.count > 40 { self.known.removeFirst(self.known.count - 40) }
    }

    mutating func same<Value: Equatable>(_ what: String, _ redis: Value, _ model: Value) throws {
        self.history.append("\(what) -> \(String("\(redis)".prefix(600)))")
        guard redis == model else {
            throw Difference(description: "\(what): the reply of Redis is \(redis), that of the machine \(model)")
        }
    }

    mutating func pick<Value>(_ values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &self.random)]
    }

    mutating func bytes(_ count: Int, of kinds: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(Int.random(in: 0..<kinds, using: &self.random)), count: count)
    }

    mutating func workspace() throws -> WorkspaceID { try WorkspaceID(self.pick(["a", "a", "b", "c"])) }

    func identity(_ name: String, owner: String = "here") throws -> NodeIdentity {
        NodeIdentity(
            node: try NodeID(name), incarnation: Incarnation(value: self.incarnations[name] ?? 0), owner: owner)
    }

    /// A node, mostly its current incarnation.
    mutating func node() throws -> NodeIdentity {
        let node = try self.identity(self.pick(["n1", "n2", "n3"]))
        guard Int.random(in: 0..<12, using: &self.random) == 0 else { return node }
        return NodeIdentity(
            node: node.node, incarnation: Incarnation(value: node.incarnation.value &- 1), owner: node.owner)
    }
}
