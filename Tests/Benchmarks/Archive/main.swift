import AuditArchive
import Cryptography
import Foundation

/// Writes an archive of audit events and verifies it: `orchestra-bench-archive [EVENTS]`.
let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000
let directory = NSTemporaryDirectory() + "/orchestra-archive-\(getpid())"
defer { try? FileManager.default.removeItem(atPath: directory) }

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
}

let event = Array(
    #"{"v":1,"kind":"job.outcome","time":1795996268105,"workspace":"acme","actor":"key:0193f1c2","action":"shell.run","job_id":"019ad5d0-3d7a-7c01-9e5b-0f5a0b1c2d3e","status":"completed","rule":"allow","duration_ms":12,"params_hmac":"5f1c0a9b5f1c0a9b5f1c0a9b5f1c0a9b5f1c0a9b5f1c0a9b5f1c0a9b5f1c0a9b","params_prefix64":"{\"command\":\"echo\"}","request_id":"req-019ad5d0","address":"127.0.0.1","node":"n1"}"#
        .utf8)
var writer = try ArchiveWriter.open(directory, node: "n1", key: ChainKey(.random()), at: 1)
let written = try seconds {
    for start in stride(from: 0, to: count, by: 500) {
        let events = (start..<min(start + 500, count)).map {
            ArchivedEvent(lane: 0, trail: "acme", id: "1795996268105-\($0)", number: 0, bytes: event)
        }
        _ = try writer.append(events, at: 1)
    }
    try writer.seal(at: 1, always: true)
}
print("write   \(count) events in \(written) s, \(Int(Double(count) / written)) a second, on disk after each 500")
let verified = try seconds {
    guard let report = try ArchiveVerification(of: directory)?.run().0, report.events == count else {
        fatalError("the archive does not have \(count) events")
    }
    print("verify  \(report.rows) rows in \(report.segments) segments, \(report.checkpoints) checkpoints")
}
print("verify  \(verified) s, \(Int(Double(count) / verified)) rows a second")
