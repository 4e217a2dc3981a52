/// Why a file could not be read: the path and the system's reason.
struct InputFileError: Error, CustomStringConvertible {
    let message: String

    var description: String { self.message }
}
