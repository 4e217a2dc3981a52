internal import Domain

/// JSON pointers (RFC 6901), kept escaped: they only name places in one document.
enum SchemaPointer {
    static func step(_ name: String) -> String {
        var result = "/"
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": result += "~0"
            case "/": result += "~1"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The pointer of a `$ref` that stays within the document, nil for any other.
    static func pointer(ofReference reference: String) -> String? {
        let utf8 = Array(reference.utf8)
        guard utf8.first == UInt8(ascii: "#") else { return nil }
        var bytes: [UInt8] = []
        var index = 1
        while index < utf8.count {
            if utf8[index] == UInt8(ascii: "%") {
                guard index + 2 < utf8.count, let high = Hexadecimal.value(of: utf8[index + 1]),
                    let low = Hexadecimal.value(of: utf8[index + 2])
                else { return nil }
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(utf8[index])
                index += 1
            }
        }
        guard let pointer = String(validating: bytes, as: UTF8.self) else { return nil }
        guard bytes.isEmpty || bytes.first == UInt8(ascii: "/") else { return nil }
        let parts = bytes.split(separator: UInt8(ascii: "~"), omittingEmptySubsequences: false).dropFirst()
        return parts.allSatisfy { $0.first == UInt8(ascii: "0") || $0.first == UInt8(ascii: "1") } ? pointer : nil
    }
}
