import CLinux
import Domain
import Foundation
import Sandboxing
import Subprocess
import Synchronization
import SystemPackage

/// Moves files of a workspace out and in as a tar archive. tar and what puts the files in their place run inside the
/// workspace's sandbox, as its user: nothing in a workspace or in an archive is opened, followed or created by this
/// process.
struct WorkspaceTransfer: Sendable {
    /// The arguments with which this program runs another in the sandbox, up to `--`.
    let launch: [String]
    let limits: TransferTally.Limits
    let counter: TransferCounter
    private let pump = DescriptorPump()

    /// The part of an archive that is not handed on yet.
    private final class LastPart: Sendable {
        private let part = Mutex<[UInt8]>([])

        func replace(with next: [UInt8]) -> [UInt8] {
            self.part.withLock { part in
                defer { part = next }
                return part
            }
        }
    }

    /// Where an archive is unpacked before anything of it is put in its place.
    static let staging = ".orchestra-put"
    /// tar's own status when files changed while they were read.
    private static let changed: Int32 = 1
    /// The statuses of `sandbox exec` and of the guard, with which nothing was run.
    private static let notRun: Set<Int32> = [64, 69, 70, 77, 78, 125]
    /// The status of a commit that put a part in its place.
    private static let halfDone: Int32 = 3
    private static let lineLimit = 64 * 1024
    /// What puts files in their place or takes them away has at least this long: it is not to be cut off.
    private static let tidyTime = Duration.seconds(60)

    /// The transfer of the files in a directory of this machine, in the sandbox of a profile without its egress.
    /// `arguments` are options of this command line that the one in the sandbox needs, too. Throws status 78.
    init(
        of directory: String, _ context: Context, profile: DefinitionName, tier: SandboxTier,
        limits: TransferTally.Limits, arguments: [String] = []
    ) throws {
        var settings = [
            "state-directory=\(context.stateDirectory)", "policies-directory=\(try context.policiesDirectory())",
        ]
        if let tools = context.settings.text("agents.tools") { settings.append("agents.tools=\(tools)") }
        self.init(
            launch: ["sandbox", "exec"] + arguments + settings.flatMap { ["--set", $0] } + [
                "--profile", profile.name, "--offline", "--tier", String(tier.rawValue), "--workspace", directory,
            ], limits: limits)
    }

    init(launch: [String], limits: TransferTally.Limits) {
        self.launch = launch
        self.limits = limits
        self.counter = TransferCounter(limits: limits)
    }

    // MARK: - Out

    /// Gives an archive of the paths, of everything when there are none, to `sink` part by part, the last part only when the
    /// archive is whole. Returns whether files changed meanwhile. Throws a `CommandError` and what `sink` throws; what was
    /// given by then is a part of an archive.
    func get(_ paths: [String], into sink: @escaping @Sendable ([UInt8]) async throws -> Void) async throws -> Bool {
        let arguments = [
            "/usr/bin/tar", "--create", "--file=-", "--verbose", "--quoting-style=escape", "--format=pax",
            "--pax-option=delete=atime,delete=ctime", "--owner=nobody:65534", "--group=nogroup:65534",
            // An archive that root unpacks elsewhere must not make programs that run as their owner.
            "--mode=ug-s", "--anchored", "--exclude=./\(Self.staging)", "--",
        ]
        let (counter, last) = (self.counter, LastPart())
        let status = try await self.run(
            arguments + (paths.isEmpty ? ["."] : paths),
            output: { bytes in
                try counter.note { tally throws(CommandError) in try tally.move(bytes.count) }
                let part = last.replace(with: bytes)
                if !part.isEmpty { try await sink(part) }
            },
            errors: { line in try counter.note { tally throws(CommandError) in try tally.packed(line) } })
        let hasChanged = status == .exited(Self.changed)
        if !hasChanged { try self.check(status, "the files could not be read") }
        try await sink(last.replace(with: []))
        return hasChanged
    }

    // MARK: - In

    /// Puts the files of the archive that `source` gives part by part, and none at its end, in their place, all or none.
    /// `mayCommit` is asked when all of it is unpacked. Throws a `CommandError` and what the two throw, after everything that
    /// was unpacked is removed; where that fails `left` gets the reason, and the next transfer removes it. Once files are put
    /// in their place a cancellation has no effect.
    func put(
        from source: @escaping @Sendable () async throws -> [UInt8], mayCommit: () async throws -> Void,
        left: (String) -> Void
    ) async throws {
        do {
            try await self.stage(from: source)
            // tar reads to the end itself; whatever it leaves must still end well before anything is changed.
            while case let bytes = try await source(), !bytes.isEmpty {
                try self.counter.note { tally throws(CommandError) in try tally.move(bytes.count) }
            }
            try await mayCommit()
            try await withoutCancellation { () async throws in try await self.commit() }
        } catch {
            do { try await withoutCancellation { () async throws in try await self.discard() } } catch let reason {
                left(CommandError(reason).message)
            }
            throw error
        }
    }

    /// Unpacks the archive next to the workspace's files, which stay as they are. Throws a `CommandError` and what the source
    /// throws; `discard` removes what is unpacked.
    private func stage(from source: @escaping @Sendable () async throws -> [UInt8]) async throws {
        let counter = self.counter
        let status = try await self.run(
            ["/bin/sh", "-c", Self.removal + Self.unpacking], input: source,
            output: { _ in },
            lines: { line in try counter.note { tally throws(CommandError) in try tally.unpacked(line) } },
            errors: { line in try counter.note { tally throws(CommandError) in tally.addProblem(line ?? []) } })
        try self.check(status, "the archive was refused")
        guard counter.tally.entries > 0 else { throw CommandError(.data, "the archive has no entries") }
    }

    /// Puts what is unpacked in its place, over files of the same names. Throws a `CommandError`: with status 65 when a
    /// directory and something else have one name, and then nothing was changed; with 70, which says so, when a part may be
    /// in its place.
    private func commit() async throws {
        let status = try await self.tidy(Self.comparison + Self.placing + Self.removal)
        guard status != .exited(Self.halfDone) else {
            throw CommandError(
                .gaveUp,
                "a part of the files may be in its place; repeat the command: \(self.counter.tally.problems)")
        }
        try self.check(status, "the files could not be put in their place")
    }

    /// Removes what is unpacked. Throws a `CommandError` when that fails; the next `stage` tries again.
    private func discard() async throws { try self.check(try await self.tidy(Self.removal), "\(Self.staging) is left") }

    private func tidy(_ script: String) async throws -> TerminationStatus {
        let counter = self.counter
        return try await self.run(
            ["/bin/sh", "-c", script], within: max(self.limits.time, Self.tidyTime), output: { _ in },
            errors: { line in try counter.note { tally throws(CommandError) in tally.addProblem(line ?? []) } })
    }

    /// Removes the directory also where what is in it may not be entered. Only modes of directories are changed: its files
    /// may be in their place already, under a second name.
    private static let removal = """
        set -eu
        if [ -d \(staging) ] && [ ! -L \(staging) ]; then
            find \(staging) -type d ! -perm -700 -exec chmod u+rwx {} \\;
        fi
        rm -rf \(staging)

        """

    private static let unpacking = """
        mkdir \(staging)
        exec tar --extract --file=- --directory=\(staging) --verbose --quoting-style=escape --no-same-owner \
        --no-same-permissions

        """

    /// Ends with a sentence and a status when a directory would replace something else, or something else a directory.
    private static let comparison = """
        set -eu
        cd \(staging)
        find . -mindepth 1 -type d -exec sh -c 'for path; do
            there=../$path
            if [ -L "$there" ] || { [ -e "$there" ] && [ ! -d "$there" ]; }; then
                echo "$path is a directory in the archive and none in the workspace" >&2; exit 1
            fi
        done' sh {} +
        find . -mindepth 1 ! -type d -exec sh -c 'for path; do
            there=../$path
            if [ -d "$there" ] && [ ! -L "$there" ]; then
                echo "$path is a directory in the workspace and none in the archive" >&2; exit 1
            fi
        done' sh {} +

        """

    /// By links, which need no space and no second copy.
    private static let placing = """
        find . -mindepth 1 -maxdepth 1 -exec cp --archive --link --remove-destination --target-directory=.. -- {} + \
            || exit \(halfDone)
        cd ..

        """

    // MARK: - Running

    /// Runs a program in the sandbox to its end. Throws a `CommandError` when it takes too long, and what the bodies
    /// throw; the program and everything it started have ended then.
    private func run(
        _ argv: [String], input source: (@Sendable () async throws -> [UInt8])? = nil, within time: Duration? = nil,
        output: @escaping @Sendable ([UInt8]) async throws -> Void,
        lines: @escaping @Sendable ([UInt8]?) throws -> Void = { _ in },
        errors: @escaping @Sendable ([UInt8]?) throws -> Void
    ) async throws -> TerminationStatus {
        let (input, out, err) = (try Self.pipe(), try Self.pipe(), try Self.pipe())
        defer { for end in [out.reader, err.reader] { close(end) } }
        var options = PlatformOptions()
        // A session of its own: ^C ends this command, and with its pipes the program.
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(10))]
        let (limit, counter, pump) = (time ?? self.limits.time, self.counter, self.pump)
        let result = try await Subprocess.run(
            .path("/proc/self/exe"), arguments: Arguments(self.launch + ["--"] + argv), platformOptions: options,
            input: .fileDescriptor(FileDescriptor(rawValue: input.reader), closeAfterSpawningProcess: true),
            output: .fileDescriptor(FileDescriptor(rawValue: out.writer), closeAfterSpawningProcess: true),
            error: .fileDescriptor(FileDescriptor(rawValue: err.writer), closeAfterSpawningProcess: true)
        ) { _ in
            try await withThrowingTaskGroup(of: Bool.self) { tasks in
                tasks.addTask {
                    try await ContinuousClock().sleep(for: limit)
                    throw TransferTimeout(limit: limit)
                }
                tasks.addTask {
                    defer { close(input.writer) }
                    if let source { try await Self.feed(source, into: input.writer, pump, counter) }
                    return false
                }
                tasks.addTask { try await Self.drain(out.reader, pump, each: output, lines) }
                tasks.addTask { try await Self.drain(err.reader, pump, each: { _ in }, errors) }
                var open = 2
                while open > 0, let isOutput = try await tasks.next() { open -= isOutput ? 1 : 0 }
                tasks.cancelAll()
            }
        }
        return result.terminationStatus
    }

    private static func feed(
        _ source: @Sendable () async throws -> [UInt8], into sink: Int32, _ pump: DescriptorPump,
        _ counter: TransferCounter
    ) async throws {
        while true {
            let bytes = try await source()
            guard !bytes.isEmpty else { return }
            try counter.note { tally throws(CommandError) in try tally.move(bytes.count) }
            // A program that reads no more has ended, and its status says how.
            do { try await pump.write(bytes, to: sink) } catch is Errno { return }
        }
    }

    /// Gives everything up to the end to `each`, and its lines to `lines`; true.
    private static func drain(
        _ source: Int32, _ pump: DescriptorPump, each: @Sendable ([UInt8]) async throws -> Void,
        _ lines: @Sendable ([UInt8]?) throws -> Void
    ) async throws -> Bool {
        var splitter = LineSplitter(limit: Self.lineLimit)
        while true {
            let bytes = try await pump.next(from: source)
            guard !bytes.isEmpty else { return true }
            try await each(bytes)
            for line in splitter.take(bytes) { try lines(line) }
        }
    }

    private static func pipe() throws -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = unsafe orc_pipe(&ends)
        guard result == 0 else { throw CommandError(.gaveUp, "there is no pipe: \(Host.reason(-result))") }
        return (ends[0], ends[1])
    }

    /// Throws a `CommandError` with the program's words unless it ended with 0.
    private func check(_ status: TerminationStatus, _ what: String) throws {
        guard status != .exited(0) else { return }
        var words = self.counter.tally.problems
        if words.isEmpty { words = "\(status)" }
        guard case .exited(let code) = status, Self.notRun.contains(code) else {
            throw CommandError(.data, "\(what): \(words)")
        }
        throw CommandError(.unavailable, "the sandbox could not be used: \(words)")
    }
}
