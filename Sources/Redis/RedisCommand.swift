package import NIOCore

/// One command, already encoded as the RESP array of bulk strings that Redis reads.
///
/// Arguments are appended to one buffer, always as bulk strings with their length, so that no argument can be read as
/// another one or as a command.
package struct RedisCommand: Sendable {
    private var argumentCount = 0
    private var body: [UInt8]

    /// Begins a command with its name and no arguments; reserves `capacity` bytes.
    package init(_ name: String, capacity: Int = 128) {
        self.body = []
        self.body.reserveCapacity(capacity)
        self.append(name)
    }

    /// Encodes a command with its name and text arguments.
    package init(_ name: String, _ arguments: String...) {
        self.init(name)
        for argument in arguments { self.append(argument) }
    }

    /// Appends an argument as UTF-8.
    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            self.header(utf8.count)
            unsafe self.body.append(contentsOf: utf8)
        }
        self.lineEnd()
    }

    // Not generic: a generic function is not specialized across modules, and this is the hot path.
    /// Appends an argument byte for byte.
    package mutating func append(_ bytes: [UInt8]) {
        self.header(bytes.count)
        self.body.append(contentsOf: bytes)
        self.lineEnd()
    }

    /// Appends an argument byte for byte.
    package mutating func append(_ bytes: ArraySlice<UInt8>) {
        self.header(bytes.count)
        self.body.append(contentsOf: bytes)
        self.lineEnd()
    }

    /// Appends a number in decimal digits.
    package mutating func append(_ number: Int) { self.append(String(number)) }
    /// Appends a number in decimal digits.
    package mutating func append(_ number: Int64) { self.append(String(number)) }
    /// Appends a number in decimal digits.
    package mutating func append(_ number: UInt64) { self.append(String(number)) }

    private mutating func header(_ count: Int) {
        self.argumentCount += 1
        self.body.append(UInt8(ascii: "$"))
        self.digits(count)
        self.lineEnd()
    }

    private mutating func digits(_ number: Int) {
        if number >= 10 { self.digits(number / 10) }
        self.body.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
    }

    private mutating func lineEnd() {
        self.body.append(0x0d)
        self.body.append(0x0a)
    }

    /// Encodes all commands into one buffer with a single reservation.
    package static func encode(_ commands: [RedisCommand], allocator: ByteBufferAllocator) -> ByteBuffer {
        let size = commands.reduce(0) { $0 + $1.body.count + 24 }
        var buffer = allocator.buffer(capacity: size)
        for command in commands {
            buffer.writeString("*\(command.argumentCount)\r\n")
            buffer.writeBytes(command.body)
        }
        return buffer
    }
}
