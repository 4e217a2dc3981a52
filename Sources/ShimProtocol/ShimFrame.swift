package import Domain

/// A frame between node and shim on the shim's socket: `UInt32` length, `UInt8` kind, payload.
package enum ShimFrame: Hashable, Sendable {
    // From the node.
    /// Opens a connection: the token of the launch file, and an epoch no smaller than any before. With the epoch 0 the
    /// connection is a viewer's: it may watch, type and resize, and does not own the agent.
    case hello(token: [UInt8], epoch: UInt64)
    /// Bytes for the terminal as they are; a carriage return at their end is a write of its own. Answered by `written` with
    /// the same id once they are in the terminal's input. Ids rise; one that was sent before is answered again and not
    /// typed again.
    case input(id: UInt64, bytes: [UInt8])
    /// The same for text without control bytes: typed as one paste where the program wants pastes marked, and entered.
    case prompt(id: UInt64, text: [UInt8])
    /// Gives the terminal another size; answered by `resized` to all connections.
    case resize(columns: UInt16, rows: UInt16)
    /// Ends the program's process tree.
    case stop
    /// The exit is recorded elsewhere; the shim may end.
    case reap
    /// Text for the agent under a key of its own; answered by receipts, the first at once. The key makes it harmless to
    /// send it twice.
    case message(key: [UInt8], text: String)
    /// The same for keys by their names.
    case keys(key: [UInt8], names: [String])
    /// Stops every process of the program where it stands.
    case freeze
    /// Lets the processes of a frozen program continue.
    case thaw
    /// Sends the agent's events with higher numbers than this, and those to come.
    case follow(after: UInt64)
    /// Sends terminal output from `offset` of the log on; an offset past its end means none for now.
    case watch(offset: UInt64)

    // From the shim.
    case welcome(launcherPID: Int32, logLength: UInt64)
    /// The last frame of a connection.
    case refused(reason: String)
    case written(id: UInt64)
    /// This input was not taken; the connection stays.
    case inputRefused(id: UInt64, reason: String)
    case output(offset: UInt64, bytes: [UInt8])
    case exited(ExitRecord)
    case receipt(MessageLedger.Receipt)
    case event(EventLog.Event)
    /// The request was carried out: as many processes were stopped or continued.
    case done(count: UInt32)
    /// The terminal has this size now.
    case resized(columns: UInt16, rows: UInt16)
    /// The pane is gone, with its tmux server or without; the program continues.
    case viewLost

    /// The largest payload; a longer frame closes the connection.
    package static let payloadLimit = 1024 * 1024

    /// The whole frame, with its length.
    package var encoded: [UInt8] {
        var body = ByteWriter()
        switch self {
        case .hello(let token, let epoch):
            body.write(UInt8(1))
            body.write(block: token)
            body.write(epoch)
        case .input(let id, let bytes):
            body.write(UInt8(2))
            body.write(id)
            body.write(block: bytes)
        case .resize(let columns, let rows):
            body.write(UInt8(3))
            body.write(columns)
            body.write(rows)
        case .stop: body.write(UInt8(4))
        case .reap: body.write(UInt8(5))
        case .watch(let offset):
            body.write(UInt8(6))
            body.write(offset)
        case .message(let key, let text):
            body.write(UInt8(7))
            body.write(block: key)
            body.write(text: text)
        case .freeze: body.write(UInt8(8))
        case .thaw: body.write(UInt8(9))
        case .follow(let number):
            body.write(UInt8(10))
            body.write(number)
        case .prompt(let id, let text):
            body.write(UInt8(11))
            body.write(id)
            body.write(block: text)
        case .keys(let key, let names):
            body.write(UInt8(12))
            body.write(block: key)
            body.write(UInt16(truncatingIfNeeded: names.count))
            for name in names { body.write(text: name) }
        case .welcome(let pid, let length):
            body.write(UInt8(65))
            body.write(UInt32(bitPattern: pid))
            body.write(length)
        case .refused(let reason):
            body.write(UInt8(66))
            body.write(text: reason)
        case .written(let id):
            body.write(UInt8(67))
            body.write(id)
        case .output(let offset, let bytes):
            body.write(UInt8(68))
            body.write(offset)
            body.write(block: bytes)
        case .exited(let record):
            body.write(UInt8(69))
            body.write(block: record.encoded)
        case .viewLost: body.write(UInt8(70))
        case .inputRefused(let id, let reason):
            body.write(UInt8(71))
            body.write(id)
            body.write(text: reason)
        case .receipt(let receipt):
            body.write(UInt8(72))
            body.write(block: receipt.key)
            body.write(receipt.stage.rawValue)
            body.write(receipt.offset)
            body.write(text: receipt.reason)
        case .event(let event):
            body.write(UInt8(73))
            body.write(event.number)
            body.write(event.time)
            body.write(block: event.line)
        case .done(let count):
            body.write(UInt8(74))
            body.write(count)
        case .resized(let columns, let rows):
            body.write(UInt8(75))
            body.write(columns)
            body.write(rows)
        }
        var frame = ByteWriter()
        frame.write(block: body.bytes)
        return frame.bytes
    }

    private init(body: ArraySlice<UInt8>) throws(DomainError) {
        var reader = ByteReader(body)
        switch try reader.number(UInt8.self) {
        case 1: self = .hello(token: try reader.block(), epoch: try reader.number())
        case 2: self = .input(id: try reader.number(), bytes: try reader.block())
        case 3: self = .resize(columns: try reader.number(), rows: try reader.number())
        case 4: self = .stop
        case 5: self = .reap
        case 6: self = .watch(offset: try reader.number())
        case 7: self = .message(key: try reader.block(), text: try reader.text())
        case 8: self = .freeze
        case 9: self = .thaw
        case 10: self = .follow(after: try reader.number())
        case 11: self = .prompt(id: try reader.number(), text: try reader.block())
        case 12:
            let key = try reader.block()
            var names: [String] = []
            for _ in 0..<(try reader.number(UInt16.self)) { names.append(try reader.text()) }
            self = .keys(key: key, names: names)
        case 65: self = .welcome(launcherPID: Int32(bitPattern: try reader.number()), logLength: try reader.number())
        case 66: self = .refused(reason: try reader.text())
        case 67: self = .written(id: try reader.number())
        case 68: self = .output(offset: try reader.number(), bytes: try reader.block())
        case 69: self = .exited(try ExitRecord(decoding: try reader.block()))
        case 70: self = .viewLost
        case 71: self = .inputRefused(id: try reader.number(), reason: try reader.text())
        case 72:
            let key = try reader.block()
            guard let stage = MessageLedger.Stage(rawValue: try reader.number()) else {
                throw DomainError.invalidValue("a receipt names an unknown stage")
            }
            self = .receipt(
                MessageLedger.Receipt(key: key, stage: stage, offset: try reader.number(), reason: try reader.text()))
        case 73:
            self = .event(
                EventLog.Event(number: try reader.number(), time: try reader.number(), line: try reader.block()))
        case 74: self = .done(count: try reader.number())
        case 75: self = .resized(columns: try reader.number(), rows: try reader.number())
        case let kind: throw DomainError.invalidValue("unknown frame kind \(kind)")
        }
        guard reader.isAtEnd else { throw DomainError.invalidValue("a frame is longer than its kind") }
    }

    /// Removes the first whole frame from `buffer`; nil when it is not complete yet. Throws for a frame that is too long or
    /// malformed; the connection must then be closed.
    package static func next(from buffer: inout [UInt8]) throws(DomainError) -> ShimFrame? {
        guard buffer.count >= 4 else { return nil }
        var reader = ByteReader(buffer[...])
        let length = Int(try reader.number(UInt32.self))
        guard length <= Self.payloadLimit else { throw DomainError.invalidValue("a frame of \(length) bytes") }
        guard buffer.count >= 4 + length else { return nil }
        let frame = try ShimFrame(body: buffer[4..<4 + length])
        buffer.removeFirst(4 + length)
        return frame
    }
}
