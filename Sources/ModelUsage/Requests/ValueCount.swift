/// Counts the values of a JSON text without building them: a value takes many times its bytes in memory.
enum ValueCount {
    /// Whether a text has more values than the limit. Strings count as one, whatever is in them.
    static func exceeds(_ limit: Int, in text: [UInt8]) -> Bool {
        var (count, isInString, isEscaped) = (1, false, false)
        for byte in text {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else {
                    isInString = byte != UInt8(ascii: "\"")
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: ","), UInt8(ascii: "{"), UInt8(ascii: "["):
                count += 1
                guard count <= limit else { return true }
            default: break
            }
        }
        return false
    }
}
