/// Builds ClientHello messages and records.
enum HelloBytes {
    static func prefixed(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
        (0..<width).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> ($0 * 8)) } + bytes
    }

    static func `extension`(_ type: Int, _ data: [UInt8]) -> [UInt8] {
        [UInt8(truncatingIfNeeded: type >> 8), UInt8(truncatingIfNeeded: type)] + self.prefixed(data, 2)
    }

    static func serverName(_ names: [String], type: UInt8 = 0) -> [UInt8] {
        self.extension(0, self.prefixed(names.flatMap { [type] + self.prefixed(Array($0.utf8), 2) }, 2))
    }

    static func message(extensions: [[UInt8]], random: Int = 32, type: UInt8 = 1, tail: [UInt8] = []) -> [UInt8] {
        var body: [UInt8] = [3, 3] + Array(repeating: 7, count: random)
        body += self.prefixed(Array(repeating: 1, count: 32), 1)
        body += self.prefixed([0x13, 0x01, 0x13, 0x02], 2)
        body += self.prefixed([0], 1)
        if !extensions.isEmpty { body += self.prefixed(extensions.flatMap { $0 }, 2) }
        return [type] + self.prefixed(body + tail, 3)
    }

    /// The message in handshake records of at most `size` bytes.
    static func records(_ message: [UInt8], size: Int = 16_384) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { start in
            [22, 3, 1] + self.prefixed(Array(message[start..<min(start + size, message.count)]), 2)
        }
    }

    /// A regular ClientHello; `padding` stands for a large key share.
    static func hello(_ name: String?, padding: Int = 64, size: Int = 16_384, extra: [[UInt8]] = []) -> [UInt8] {
        let names = name.map { [self.serverName([$0])] } ?? []
        let share = self.extension(51, Array(repeating: 9, count: padding))
        return self.records(self.message(extensions: names + [share] + extra), size: size)
    }
}
