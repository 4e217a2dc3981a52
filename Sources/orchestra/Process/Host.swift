import CLinux
import Domain
import Foundation

/// This machine: its programs, directories and files.
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

    /// The directory of this executable, which holds the shim too.
    static var executableDirectory: String {
        // Without /proc only the name of the command is left.
        let path =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    /// The path of the shim; throws status 69 when it is missing.
    static func shim() throws -> String {
        let path = "\(self.executableDirectory)/orchestra-shim"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw CommandError(.unavailable, "\(path) is missing; expected it next to the orchestra executable")
        }
        return path
    }

    /// Keeps the keys in this process out of core files and away from other processes of its user.
    static func hardenProcess() throws {
        let result = orc_harden_process()
        guard result >= 0 else {
            throw CommandError(.gaveUp, "the process could not be made undumpable: \(self.reason(-result))")
        }
    }

    /// Gives a name server one second before the question is sent again, instead of the resolver's five, so that a node
    /// reaches Redis within seconds after an outage of the name service. The operator's own RES_OPTIONS wins.
    static func shortenNameLookups() { _ = unsafe setenv("RES_OPTIONS", "timeout:1 attempts:2", 0) }

    /// Throws status 78 when the process runs as root.
    static func refuseRoot() throws {
        guard geteuid() != 0 else {
            throw CommandError.configuration(
                "orchestra refuses to run as root, because it runs untrusted programs; start it as an ordinary user"
            )
        }
    }

    /// The path of a directory of this user, which is made with mode 0700 when it does not exist. Throws status 78 when it
    /// belongs to another user or cannot be made.
    static func privateDirectory(_ path: String) throws -> String {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            guard (attributes[.ownerAccountID] as? NSNumber)?.uint32Value == geteuid() else {
                throw CommandError.configuration(
                    "the directory \(path) belongs to another user; expected one of this user")
            }
            return path
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError.configuration("the directory \(path) cannot be made: \(error.localizedDescription)")
        }
    }

    /// Writes a file that only its owner may read, whole or not at all, and returns once it is on disk under its name: a key
    /// must not be lost with the power. Throws status 78.
    static func writePrivate(_ path: String, _ text: String) throws {
        let draft = path + ".new"
        guard
            FileManager.default.createFile(
                atPath: draft, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]),
            self.sync(draft), unsafe rename(draft, path) == 0,
            self.sync(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        else { throw CommandError.configuration("the file \(path) cannot be written") }
    }

    /// Brings a file or directory to disk; returns whether that succeeded.
    private static func sync(_ path: String) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return fsync(descriptor) == 0
    }

    /// Holds a lock for the life of the process; throws status 78 when another process has it.
    static func lock(_ path: String, what: String) throws {
        let result = unsafe orc_lock_file(path)
        guard result >= 0 else {
            throw CommandError.configuration(
                result == -EWOULDBLOCK
                    ? "another \(what) runs with this state directory (\(path) is locked); stop it, or set another ORCHESTRA_STATE_DIRECTORY"
                    : "the lock file \(path) cannot be opened: \(self.reason(-result))")
        }
    }

    /// The first label of the host name as the name of a node; `node` when it cannot be one.
    static func hostName() -> String {
        let name = ProcessInfo.processInfo.hostName.lowercased().split(separator: ".").first.map(String.init) ?? "node"
        let cleaned = name.filter { "abcdefghijklmnopqrstuvwxyz0123456789-".contains($0) }
        // A host name that is not a valid node name is not an error: the node gets another name.
        return NodeID(ifValid: cleaned)?.name ?? "node"
    }

    /// True when the path names a file or directory.
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The system's text for an error number.
    static func reason(_ error: Int32) -> String { unsafe String(cString: strerror(error)) }

    /// Milliseconds since the epoch by this machine's clock.
    /// The person at this command line, as the audit trail names them.
    static var actor: String { "cli:\(NSUserName())" }

    static func wallMilliseconds() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970 * 1000)) }
}
