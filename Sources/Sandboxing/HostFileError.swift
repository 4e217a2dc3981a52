internal import CLinux
internal import Foundation

/// A file or directory of the node's own that could not be used, with the kernel's reason. What does not exist is not an
/// error of this kind: functions that read return nil for it.
package struct HostFileError: Error, Hashable, CustomStringConvertible {
    /// What was tried: "read", "listed", "written" and so on.
    package let operation: String
    package let path: String
    /// The `errno` value of the failed call.
    package let code: Int32

    /// Takes the operation as a past participle, such as "read", the path, and the `errno` value.
    package init(_ operation: String, _ path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// The kernel's sentence for an `errno` value.
    package static func reason(_ code: Int32) -> String {
        // glibc returns a constant or a buffer of the calling thread.
        unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    }

    package var description: String { "\(self.path) cannot be \(self.operation): \(Self.reason(self.code))" }
}
