internal import Glibc

/// Prints a line about the shim itself on standard error.
func report(_ text: String) { _ = POSIX.writeAll(STDERR_FILENO, Array("orchestra-shim: \(text)\n".utf8)) }

/// Compares without revealing by its duration where the difference is.
func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}
