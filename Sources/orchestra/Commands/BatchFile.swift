import Domain
import Foundation
import Intake

/// A file of requests, one JSON object a line.
enum BatchFile {
    private static let limit = 100_000
    static let sizeLimit = 1 << 30
    private static let members = RequestDraft.Members.batch(freshRequestID: { UUID().uuidString })

    /// Throws status 65 with the first line that cannot be read; nothing was stored then.
    static func drafts(_ bytes: [UInt8]) throws -> [RequestDraft] {
        var drafts: [RequestDraft] = []
        for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
            guard number < self.limit else {
                throw CommandError(.data, "the batch has more than \(self.limit) lines; expected several files")
            }
            do {
                let document = try JSONParser.document(Array(line))
                guard document.value.members != nil else { throw CommandError(.data, "expected a JSON object") }
                drafts.append(try RequestDraft(reading: document, members: self.members))
            } catch {
                throw self.error(error, line: number)
            }
        }
        return drafts
    }

    /// Throws status 65 with the first line whose values cannot be used. `now` is the queue's time.
    static func check(_ drafts: [RequestDraft], in workspace: WorkspaceID, now: UInt64) throws {
        for (number, draft) in drafts.enumerated() {
            do { _ = try draft.request(in: workspace, actor: "", now: now) } catch {
                throw self.error(error, line: number)
            }
        }
    }

    private static func error(_ error: any Error, line: Int) -> CommandError {
        let message = (error as? DraftError)?.message(naming: self.members.quoted) ?? "\(error)"
        return CommandError(.data, "line \(line + 1) of the batch: \(message)")
    }
}
