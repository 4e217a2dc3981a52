/// Writes compact JSON: control characters and the two line separators are escaped, so a document
/// is always one line and safe in a log.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []

    package init(capacity: Int = 256) { self.bytes.reserveCapacity(capacity) }

    package mutating func write(_ value: JSONValue) {
        switch value {
        case .null: self.raw("null")
        case .bool(let flag): self.raw(flag ? "true" : "false")
        case .integer(let number): self.raw(String(number))
        case .number(let number): self.raw(number.isFinite ? String(number) : "null")
        case .string(let text): self.write(text: text)
        case .array(let elements):
            self.bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { self.bytes.append(UInt8(ascii: ",")) }
                self.write(element)
            }
            self.bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            self.bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { self.bytes.append(UInt8(ascii: ",")) }
                self.write(text: member.name)
                self.bytes.append(UInt8(ascii: ":"))
                self.write(member.value)
            }
            self.bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Copies text that is JSON already.
    package mutating func raw(_ text: String) { self.bytes.append(contentsOf: text.utf8) }

    package mutating func write(text: String) {
        self.bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            // Plain text is written a run at a time.
            var start = 0
            for index in utf8.indices {
                let byte = unsafe utf8[index]
                guard byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else {
                    // U+0080 to U+009F, which terminals obey too.
                    if byte == 0xC2, index + 1 < utf8.count, unsafe utf8[index + 1] < 0xA0 {
                        unsafe self.bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
                        start = index + 2
                        unsafe self.raw("\\u00" + Hexadecimal.text(of: [utf8[index + 1]]))
                    }
                    continue
                }
                unsafe self.bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
                start = index + 1
                self.writeEscaped(byte)
            }
            unsafe self.bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start...]))
        }
        self.bytes.append(UInt8(ascii: "\""))
    }

    private mutating func writeEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            self.bytes.append(UInt8(ascii: "\\"))
            self.bytes.append(byte)
        case 0x0a: self.raw("\\n")
        case 0x0d: self.raw("\\r")
        case 0x09: self.raw("\\t")
        default: self.raw("\\u00" + Hexadecimal.text(of: [byte]))
        }
    }
}
