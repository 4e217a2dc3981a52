import CLinux
import Domain
import Foundation
import Policy
import Sandboxing

/// What the command line asks of the machine: programs, directories, files.
enum Host {
    /// The absolute path of a program in `PATH`; throws status 69 that names the package to install.
    static func program(_ name: String, package: String) throws -> String {
        if let found = self.find(name) { return found }
        throw CommandError(.unavailable, "\(name) was not found in PATH; install it with: apt-get install \(package)")
    }

    /// The absolute path of a program in `PATH`, nil when there is none.
    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return (path.split(separator: ":") + ["/usr/bin", "/usr/sbin"]).lazy.map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The directory of this executable, where the shim lies too.
    static var executableDirectory: String {
        let path =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    static func shim() throws -> String {
        let path = "\(self.executableDirectory)/orchestra-shim"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw CommandError(.unavailable, "\(path) is missing; expected it beside the orchestra executable")
        }
        return path
    }

    /// Keeps the keys that this process holds out of core files and out of reach of others of its user.
    static func hardenProcess() throws {
        let result = orc_harden_process()
        guard result >= 0 else {
            throw CommandError(.gaveUp, "the process could not be protected: error \(-result)")
        }
    }

    /// Gives a name server one second before the question is sent again, instead of the resolver's five, so that a node
    /// reaches Redis within seconds after an outage of the name service. The operator's own RES_OPTIONS wins.
    static func shortenNameLookups() { _ = unsafe setenv("RES_OPTIONS", "timeout:1 attempts:2", 0) }

    /// Throws status 78 when the process runs as root.
    static func refuseRoot() throws {
        guard geteuid() != 0 else {
            throw CommandError.configuration(
                "orchestra refuses to run as root, because it runs programs that nobody has to trust; start it as an ordinary user"
            )
        }
    }

    /// A directory of ours: made 0700 when it is new, refused when it is another user's.
    static func privateDirectory(_ path: String) throws -> String {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            guard (attributes[.ownerAccountID] as? NSNumber)?.uint32Value == geteuid() else {
                throw CommandError.configuration(
                    "the directory \(path) belongs to another user; expected one of our own")
            }
            return path
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError.configuration("the directory \(path) cannot be made: \(error.localizedDescription)")
        }
    }

    /// Writes a file that only its owner may read, whole or not at all.
    static func writePrivate(_ path: String, _ text: String) throws {
        let draft = path + ".new"
        guard
            FileManager.default.createFile(
                atPath: draft, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]),
            unsafe rename(draft, path) == 0
        else { throw CommandError.configuration("the file \(path) cannot be written") }
    }

    /// Holds a lock for the life of the process; throws status 78 when another process has it.
    static func lock(_ path: String, what: String) throws {
        let result = unsafe orc_lock_file(path)
        guard result >= 0 else {
            throw CommandError.configuration(
                result == -EWOULDBLOCK
                    ? "\(what) is running already with this state directory (\(path) is locked)"
                    : "the lock file \(path) cannot be opened: error \(-result)")
        }
    }

    static func hostName() -> String {
        let name = ProcessInfo.processInfo.hostName.lowercased().split(separator: ".").first.map(String.init) ?? "node"
        let cleaned = name.filter { "abcdefghijklmnopqrstuvwxyz0123456789-".contains($0) }
        return (try? NodeID(cleaned))?.name ?? "node"
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Milliseconds since the epoch by this machine's clock.
    static func wallMilliseconds() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970 * 1000)) }
}

/// Reads a policy directory from disk.
enum PolicyFiles {
    /// Loads all `.json` files of the known folders; throws `PolicyError` or status 78 for one that cannot
    /// be read.
    static func load(_ directory: String) throws -> PolicyBundle {
        var files: [PolicyFile] = []
        for folder in PolicyBundle.folders {
            let path = "\(directory)/\(folder)"
            if PolicyBundle.optionalFolders.contains(folder), !FileManager.default.fileExists(atPath: path) { continue }
            let names: [String]
            do {
                names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
            } catch {
                throw CommandError.configuration(
                    "the policy directory \(path) cannot be read; expected a folder of .json files")
            }
            for name in names where !name.hasPrefix(".") {
                guard name.hasSuffix(".json") else {
                    throw CommandError.configuration("the policy file \(path)/\(name) is no .json file")
                }
                guard let bytes = FileManager.default.contents(atPath: "\(path)/\(name)") else {
                    throw CommandError.configuration("the policy file \(path)/\(name) cannot be read")
                }
                files.append(PolicyFile(folder: folder, name: name, bytes: Array(bytes)))
            }
        }
        return try PolicyBundle(files: files)
    }
}
