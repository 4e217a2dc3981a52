package import Domain
internal import Foundation
internal import Sandboxing
internal import Screens
internal import ShimProtocol

/// What a launch wrote: to its terminal, and as events.
extension AgentDirectory {
    /// The parts of a generation's log that exist, the oldest first.
    private func logParts(_ generation: Int) throws -> [(start: UInt64, path: String)] {
        let path = self.generationPath(generation)
        return (try HostFiles.names(in: path) ?? [])
            .compactMap { name in ShimFiles.offset(ofLog: name).map { ($0, "\(path)/\(name)") } }
            .sorted { $0.start < $1.start }
    }

    /// How many bytes the terminal has shown in all.
    package func logLength(_ generation: Int) throws -> UInt64 {
        guard let newest = try self.logParts(generation).last else { return 0 }
        guard let status = try HostFiles.status(of: newest.path) else { return newest.start }
        return newest.start + UInt64(max(0, status.st_size))
    }

    /// All that is kept of a generation's log, and where it begins; nil when there is none.
    package func wholeLog(_ generation: Int) throws -> (start: UInt64, bytes: [UInt8])? {
        guard let first = try self.logParts(generation).first else { return nil }
        var (bytes, next): ([UInt8], UInt64) = ([], first.start)
        while true {
            let part = try self.log(generation, from: next, limit: 16 * 1024 * 1024)
            if part.bytes.isEmpty { return (first.start, bytes) }
            // A part that was removed meanwhile leaves a gap, and what came before it is of no use.
            if part.place > next { bytes = [] }
            bytes += part.bytes
            next = part.place + UInt64(part.bytes.count)
        }
    }

    /// Bytes of a generation's terminal log from a place on, or from the first that is kept, at most `limit`, and where
    /// they begin; none when there are none yet.
    package func log(_ generation: Int, from offset: UInt64, limit: Int) throws -> (place: UInt64, bytes: [UInt8]) {
        let parts = try self.logParts(generation)
        let place = max(offset, parts.first?.start ?? 0)
        guard let part = parts.last(where: { $0.start <= place }) else { return (place, []) }
        return (place, try HostFiles.contents(of: part.path, from: place - part.start, limit: limit) ?? [])
    }

    /// The last bytes of a generation's terminal log, at most `limit`.
    package func logTail(_ generation: Int, limit: Int) throws -> [UInt8] {
        let length = try self.logLength(generation)
        var (bytes, next): ([UInt8], UInt64) = ([], length - min(length, UInt64(limit)))
        while bytes.count < limit {
            let part = try self.log(generation, from: next, limit: limit - bytes.count)
            if part.bytes.isEmpty { break }
            bytes += part.bytes
            next = part.place + UInt64(part.bytes.count)
        }
        return bytes
    }

    /// When the bytes of a generation's log came: milliseconds since the launch and how many.
    package func timing(_ generation: Int) throws -> [(milliseconds: UInt64, count: Int)] {
        try self.logParts(generation).flatMap {
            LogTiming.pairs(try self.read(ShimFiles.timing(from: $0.start), generation: generation) ?? [])
        }
    }

    /// What the agent said through its event descriptor after this number: `{"n":…,"ms":…,"event":{…}}`. A line that is
    /// not JSON is left out.
    package func events(_ generation: Int, after number: UInt64) throws -> [JSONValue] {
        let bytes = try self.read(ShimFiles.events, generation: generation) ?? []
        return bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            // The line that is being written may be incomplete; the next call returns it.
            guard let value = JSONValue(ifValid: Array(line)), let n = value["n"]?.integer,
                n > Int64(clamping: number)
            else { return nil }
            return value
        }
    }

    /// What a generation's screen shows, or showed last, without the empty lines at its end; nil when it has no log.
    package func screen(_ generation: Int) throws -> [String]? {
        guard !(try self.logParts(generation)).isEmpty, let spec = try self.launchSpec(generation) else { return nil }
        var screen = TerminalScreen(columns: Int(spec.columns), rows: Int(spec.rows))
        let tail = try self.logTail(generation, limit: 256 * 1024)
        let (sizes, start) = (try self.sizes(generation), try self.logLength(generation) - UInt64(tail.count))
        if let size = sizes.size(at: start) { screen.resize(columns: Int(size.columns), rows: Int(size.rows)) }
        screen.feed(tail, at: start, sizes)
        var lines = screen.lines
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// What these rules conclude from a generation's screen, looked at after each piece that the log was given at one time:
    /// every state once, in the order of the first time. None when there is no log.
    package func screenStates(_ generation: Int, rules: [ScreenRule]) throws -> [ScreenRule.State] {
        guard !rules.isEmpty, let log = try self.wholeLog(generation), let spec = try self.launchSpec(generation)
        else { return [] }
        let screenRules = ScreenRules(rules)
        let sizes = try self.sizes(generation)
        var screen = TerminalScreen(columns: Int(spec.columns), rows: Int(spec.rows))
        var (rest, place) = (log.bytes[...], log.start)
        var states: [ScreenRule.State] = []
        for piece in try self.timing(generation) where !rest.isEmpty {
            let part = rest.prefix(piece.count)
            screen.feed(Array(part), at: place, sizes)
            rest = rest.dropFirst(part.count)
            place += UInt64(part.count)
            guard let state = screenRules.conclusion(from: screen)?.state, !states.contains(state) else { continue }
            states.append(state)
        }
        return states
    }
}
