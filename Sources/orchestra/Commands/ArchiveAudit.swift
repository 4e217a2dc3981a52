import AuditArchive
import Domain
import Foundation

/// Verifies archives and prints what was found.
struct ArchiveAudit {
    let anchors: [ArchiveHead]
    let key: String?
    let isJSON: Bool

    /// Reads an anchor; throws status 65 when it is none.
    static func anchor(_ path: String) throws -> ArchiveHead {
        guard let head = ArchiveHead(try InputFile.read(path, limit: 4096)) else {
            throw CommandError(
                .data, "\(Printable.text(path, limit: 400)) is not a head that `orchestra audit anchor` printed")
        }
        return head
    }

    /// Returns whether everything holds.
    func run(_ paths: [String]) throws -> Bool {
        var holds = true
        var missing = Set(self.anchors.map(\.origin))
        for path in paths {
            let chains = try self.chains(in: path)
            if chains.isEmpty {
                self.show(ArchiveFinding(file: "", reason: "there is no archive"), in: path)
                holds = false
            }
            for (chain, verification) in chains {
                do {
                    let (report, used) = try verification.run(anchors: self.anchors, key: self.key)
                    for anchor in used { missing.remove(anchor.origin) }
                    self.show(report, of: chain, anchors: used.count)
                } catch {
                    // A chain that does not hold cannot be said to be another than the anchors'.
                    missing = []
                    guard let finding = Self.finding(error) else { throw error }
                    self.show(finding, in: chain)
                    holds = false
                }
            }
        }
        if !missing.isEmpty {
            self.show(
                ArchiveFinding(file: "", reason: "none of the archives is that of an anchor"),
                in: paths.joined(separator: " "))
            holds = false
        }
        return holds
    }

    /// A file that cannot be read proves nothing, so it counts as one that does not hold.
    private static func finding(_ error: any Error) -> ArchiveFinding? {
        if let error = error as? ArchiveError { return ArchiveFinding(file: "", reason: error.description) }
        return error as? ArchiveFinding
    }

    /// The chains of a path: itself, or the directories in it.
    private func chains(in path: String) throws -> [(String, ArchiveVerification)] {
        do {
            if let chain = try ArchiveVerification(of: path) { return [(path, chain)] }
            guard let names = FileManager.default.subpaths(below: path) else { return [] }
            return try names.compactMap { name in
                let chain = "\(path)/\(name)"
                if let verification = try ArchiveVerification(of: chain) { return (chain, verification) }
                note("there is no archive in \(Printable.text(chain, limit: 400))")
                return nil
            }
        } catch {
            throw CommandError(.usage, "\(error)")
        }
    }

    // MARK: - Printing

    private func show(_ report: ArchiveReport, of chain: String, anchors: Int) {
        guard self.isJSON else {
            Orchestra.say(
                "ok  \(Printable.text(chain, limit: 400))  node \(Printable.text(report.node))  \(report.events) events in \(report.rows) rows, \(report.segments) segments, \(report.checkpoints) checkpoints"
            )
            for key in report.keys { Orchestra.say("    key \(key)") }
            Orchestra.say("    signed \(RFC3339.text(of: report.signedAt)), \(anchors) anchors hold")
            if report.unsignedRows > 0 || report.endsIncomplete {
                note(
                    "unsigned tail: \(report.unsignedRows) rows\(report.endsIncomplete ? " and an incomplete line" : "") are behind the signed head. A node that is killed leaves such rows, but nothing proves who wrote them; the node removes them when it starts again"
                )
            }
            return
        }
        self.say([
            JSONMember("ok", true), JSONMember("path", .string(chain)), JSONMember("node", .string(report.node)),
            JSONMember("segments", .integer(Int64(report.segments))),
            JSONMember("rows", .integer(Int64(clamping: report.rows))),
            JSONMember("events", .integer(Int64(report.events))),
            JSONMember("checkpoints", .integer(Int64(report.checkpoints))),
            JSONMember("keys", .array(report.keys.map { .string($0) })),
            JSONMember("signed_at", .integer(Int64(clamping: report.signedAt))),
            JSONMember("anchors", .integer(Int64(anchors))),
            JSONMember("unsigned_rows", .integer(Int64(clamping: report.unsignedRows))),
            JSONMember("incomplete", .bool(report.endsIncomplete)),
        ])
    }

    private func show(_ finding: ArchiveFinding, in path: String) {
        guard self.isJSON else {
            let place = [
                Printable.text(path, limit: 400), finding.file,
                finding.row.map { "line \($0)" } ?? "", finding.sequence.map { "row \($0)" } ?? "",
            ].filter { !$0.isEmpty }.joined(separator: "  ")
            return Orchestra.say("BAD  \(place)  \(finding.reason)")
        }
        var members = [JSONMember("ok", false), JSONMember("path", .string(path))]
        if !finding.file.isEmpty { members.append(JSONMember("segment", .string(finding.file))) }
        if let row = finding.row { members.append(JSONMember("line", .integer(Int64(row)))) }
        if let sequence = finding.sequence { members.append(JSONMember("row", .integer(Int64(clamping: sequence)))) }
        self.say(members + [JSONMember("reason", .string(finding.reason))])
    }

    private func say(_ members: [JSONMember]) { Orchestra.say(JSONValue.object(members).text) }
}

extension FileManager {
    /// The names of the directories in a directory, sorted; nil when it cannot be listed.
    fileprivate func subpaths(below path: String) -> [String]? {
        do {
            return try self.contentsOfDirectory(atPath: path).sorted().filter { name in
                var isDirectory: ObjCBool = false
                return unsafe self.fileExists(atPath: "\(path)/\(name)", isDirectory: &isDirectory)
                    && isDirectory.boolValue
            }
        } catch { return nil }
    }
}
