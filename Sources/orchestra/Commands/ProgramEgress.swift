import CLinux
import Domain
import Foundation
import Subprocess
import SystemPackage

/// An egress server for one program that runs by hand: a process of its own that ends with the program.
struct ProgramEgress: Sendable {
    let profile: DefinitionName
    /// Where connections to names go instead, as `egress.overrides`.
    let resolve: [String]
    let authorityFile: String?
    /// Whether the trail, credentials and budgets of Redis are used where this configuration has them.
    var usesRedis = true

    private static let startLimit = Duration.seconds(10)

    /// Starts it for this process, which becomes the program's shim, and returns the path of its socket once it serves.
    /// Throws status 69 with its own words when it does not.
    func start(_ context: Context, _ arguments: [String]) async throws -> String {
        guard
            try self.resolve.isEmpty && self.authorityFile == nil
                || context.settings.required("environment") != "production"
        else { throw CommandError.configuration("--egress-resolve and --egress-ca are refused with ENV=production") }
        let root = try context.socketRoot()
        try Self.sweep(root)
        let socket = root + "/egress-\(getpid()).sock"
        var words = ["--fork", try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")]
        words += ["sandbox", "serve-egress", "--profile", self.profile.name, "--socket", socket]
        words += ["--process", String(getpid())] + arguments
        if !self.usesRedis { words.append("--without-redis") }
        if !self.resolve.isEmpty { words += ["--set", "egress.overrides=" + self.resolve.joined(separator: ",")] }
        if let authorityFile { words += ["--set", "egress.ca-file=" + authorityFile] }
        let log = context.stateDirectory + "/egress-\(getpid()).log"
        let file = try FileDescriptor.open(
            FilePath(log), .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: .ownerReadWrite)
        // A session of its own, and no child of the shim, which ends what it finds below itself.
        _ = try await Subprocess.run(
            .path("/usr/bin/setsid"), arguments: Arguments(words), input: .none, output: .discarded,
            error: .fileDescriptor(file, closeAfterSpawningProcess: true))
        defer { _ = unsafe unlink(log) }
        let deadline = ContinuousClock.now + Self.startLimit
        while ContinuousClock.now < deadline {
            if unsafe orc_probe_unix(socket) == 0 { return socket }
            if let reason = Self.text(log).firstRange(of: "error: ") {
                throw CommandError(
                    .unavailable,
                    "the egress server for the program did not start: \(Printable.text(String(Self.text(log)[reason.upperBound...]), limit: 400))"
                )
            }
            try await ContinuousClock().sleep(for: .milliseconds(10))
        }
        throw CommandError(
            .unavailable,
            "the egress server for the program did not start within 10 s: \(Printable.text(Self.text(log), limit: 400))"
        )
    }

    private static func text(_ log: String) -> String {
        String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
    }

    /// Removes the sockets of programs that were killed.
    private static func sweep(_ root: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: root) {
            guard let process = name.wholeMatch(of: #/egress-(\d+)\.sock/#).flatMap({ Int32($0.output.1) }),
                kill(process, 0) != 0, errno == ESRCH
            else { continue }
            _ = unsafe unlink("\(root)/\(name)")
        }
    }
}
