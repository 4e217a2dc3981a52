import Foundation
import Policy
import Sandboxing

/// Reads a policy directory from disk.
enum PolicyFiles {
    /// The largest policy file, in bytes: a recorded screen is the largest kind.
    private static let fileLimit = 16 << 20

    /// Loads all `.json` files of the known folders; throws `PolicyError` or status 78 for one that cannot
    /// be read.
    static func load(_ directory: String) throws -> PolicyBundle {
        var files: [PolicyFile] = []
        for folder in PolicyBundle.folders {
            let path = "\(directory)/\(folder)"
            let names: [String]?
            do {
                names = try HostFiles.names(in: path)
            } catch {
                throw CommandError.configuration("the policies are not usable: \(error)")
            }
            guard names != nil || PolicyBundle.optionalFolders.contains(folder) else {
                throw CommandError.configuration(
                    "the policy directory \(path) does not exist; expected a folder of .json files")
            }
            for name in (names ?? []).sorted() where !name.hasPrefix(".") {
                guard name.hasSuffix(".json") else {
                    throw CommandError.configuration("the policy file \(path)/\(name) is not a .json file")
                }
                do throws(CommandError) {
                    let bytes = try InputFile.read("\(path)/\(name)", limit: Self.fileLimit)
                    files.append(PolicyFile(folder: folder, name: name, bytes: bytes))
                } catch {
                    throw CommandError.configuration("the policies are not usable: \(error.message)")
                }
            }
        }
        return try PolicyBundle(files: files)
    }
}
