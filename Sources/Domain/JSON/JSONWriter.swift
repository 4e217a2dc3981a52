/// Writes compact JSON on one line. Escapes control characters, so that a document is safe to print in a terminal and in a
/// log.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []

    /// Starts empty; reserves `capacity` bytes.
    package init(capacity: Int = 256) { self.bytes.reserveCapacity(capacity) }

    /// Appends a value. Numbers that JSON cannot represent (NaN, infinity) become `null`.
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

    /// Appends text that is already JSON, without any check.
    package mutating func raw(_ text: String) { self.bytes.append(contentsOf: text.utf8) }

    /// Appends a string in quotes, with escapes where they are necessary.
    package mutating func write(text: String) {
        self.bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            // Text without escapes is copied in one piece.
            var start = 0
            for index in utf8.indices {
                let byte = unsafe utf8[index]
                guard byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else {
                    // U+0080 to U+009F are control characters for terminals, too.
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
