import Cryptography
import Domain
import Foundation

/// Gives a directory a second, shorter name: the path of a Unix socket has at most 107 bytes, and a state directory may be
/// longer than that.
///
/// The short name is a symbolic link in a private directory: `$XDG_RUNTIME_DIR/orchestra`, else `/tmp/orchestra-UID`. The
/// sockets themselves stay in the state directory, so every process reaches them, whichever link it uses.
struct ShortPath: Sendable {
    /// `$XDG_RUNTIME_DIR`, nil when it is not set.
    let runtimeDirectory: String?
    var temporaryDirectory = "/tmp"
    var userID = geteuid()

    /// The directory itself when its path has at most `limit` bytes, else a link to it that has. Throws status 78 when a
    /// private directory for the link cannot be had.
    func path(of directory: String, limit: Int) throws -> String {
        guard directory.utf8.count > limit else { return directory }
        let name = Hexadecimal.text(of: try Digests.sha256(Array(directory.utf8)).prefix(8))
        for place in self.places where place.utf8.count + 1 + name.utf8.count <= limit {
            let link = "\(place)/\(name)"
            try self.makePrivate(place)
            try Self.link(link, to: directory)
            return link
        }
        throw CommandError.configuration(
            "the state directory \(directory) is too long for the sockets below it; expected at most \(limit) bytes in ORCHESTRA_STATE_DIRECTORY"
        )
    }

    private var places: [String] {
        let runtime = self.runtimeDirectory.flatMap { self.isPrivate($0) ? $0 + "/orchestra" : nil }
        return [runtime, "\(self.temporaryDirectory)/orchestra-\(self.userID)"].compactMap { $0 }
    }

    private func makePrivate(_ path: String) throws {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw CommandError.configuration(
                "the directory \(path) for sockets cannot be made: \(Host.reason(errno)); set XDG_RUNTIME_DIR, or a shorter ORCHESTRA_STATE_DIRECTORY"
            )
        }
        guard self.isPrivate(path) else {
            throw CommandError.configuration(
                "the directory \(path) for sockets is not a directory of this user with mode 0700; remove it, or set XDG_RUNTIME_DIR"
            )
        }
    }

    /// True for a directory, not a link, that belongs to the user and is open to nobody else.
    private func isPrivate(_ path: String) -> Bool {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return false }
        return status.st_mode & S_IFMT == S_IFDIR && status.st_uid == self.userID && status.st_mode & 0o077 == 0
    }

    /// Makes the link, or replaces one that leads elsewhere.
    private static func link(_ path: String, to directory: String) throws {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &target, target.count)
        if count > 0, target.prefix(count).map({ UInt8(bitPattern: $0) }) == Array(directory.utf8) { return }
        let draft = "\(path).\(getpid())"
        guard unsafe symlink(directory, draft) == 0 || errno == EEXIST, unsafe rename(draft, path) == 0 else {
            throw CommandError.configuration("the link \(path) cannot be made: \(Host.reason(errno))")
        }
    }
}
