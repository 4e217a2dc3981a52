/// A file of a policy directory: its kind is its folder's name.
package struct PolicyFile: Sendable {
    package let folder: String
    package let name: String
    package let bytes: [UInt8]

    /// Takes the parts as given; parses nothing.
    package init(folder: String, name: String, bytes: [UInt8]) {
        self.folder = folder
        self.name = name
        self.bytes = bytes
    }

    var path: String { "\(self.folder)/\(self.name)" }
}
