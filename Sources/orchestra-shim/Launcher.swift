internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// Starts the sandbox's launcher and ends the whole tree it made.
struct Launcher {
    let pid: Int32
    /// Reads the launcher's reports; the first one names the sandbox's first process.
    let statusDescriptor: Int32
    private var reports: [UInt8] = []
    private var initDescriptor: Int32 = -1
    /// True once the launcher reported the sandbox's first process; without that nothing ever ran.
    private(set) var hasReadInit = false
    private var isStatusOpen = true

    /// What to poll for reports: -1 after the end, where a poll would return at once for ever.
    var pollDescriptor: Int32 { self.isStatusOpen ? self.statusDescriptor : -1 }

    /// Builds the launcher's argument file and starts it. `pty` is a terminal's master or -1; `stdio` are
    /// the descriptors for 0, 1, 2 (unused with a terminal) and any more that the program keeps.
    /// Returns the errno as a negative number in `failure` when nothing was started.
    static func start(_ spec: LaunchSpec, pty: Int32, stdio: [Int32]) -> Result<Launcher, DomainError> {
        guard let status = POSIX.pipe() else { return .failure(DomainError.invalidValue("no pipe: \(errno)")) }
        var descriptors = stdio
        let argumentNumber = descriptors.count
        descriptors.append(-1)
        let statusNumber = descriptors.count
        descriptors.append(status.writer)
        var text: [UInt8] = []
        for argument in spec.arguments {
            switch argument {
            case .text(let value): text += Array(value.utf8)
            case .statusDescriptor: text += Array(String(statusNumber).utf8)
            case .data(let bytes):
                text += Array(String(descriptors.count).utf8)
                let file = unsafe orc_memfd_with(bytes, bytes.count)
                guard file >= 0 else { return .failure(DomainError.invalidValue("no memory file: \(-file)")) }
                descriptors.append(file)
            }
            text.append(0)
        }
        let arguments = unsafe orc_memfd_with(text, text.count)
        guard arguments >= 0 else { return .failure(DomainError.invalidValue("no memory file: \(-arguments)")) }
        descriptors[argumentNumber] = arguments

        let name = spec.executable.split(separator: "/").last.map(String.init) ?? spec.executable
        let argv = [name, "--args", String(argumentNumber), "--"] + spec.command
        let pid = unsafe withCStrings(argv) { argv in
            unsafe orc_spawn(spec.executable, argv, pty, descriptors, descriptors.count)
        }
        for descriptor in descriptors[argumentNumber...] { close(descriptor) }
        guard pid > 0 else {
            close(status.reader)
            return .failure(DomainError.invalidValue("the launcher could not be started: errno \(-pid)"))
        }
        _ = orc_set_nonblocking(status.reader)
        return .success(Launcher(pid: pid, statusDescriptor: status.reader))
    }

    private init(pid: Int32, statusDescriptor: Int32) {
        self.pid = pid
        self.statusDescriptor = statusDescriptor
    }

    /// Reads the launcher's report. Only the first `child-pid` counts: what comes later could be forged
    /// from inside, since the launcher leaves the descriptor open there.
    mutating func readReports() {
        while self.isStatusOpen {
            guard case .bytes(let bytes) = self.readStatus() else { return }
            if self.hasReadInit { continue }
            self.reports += bytes.prefix(4096)
            guard self.reports.count < 4096, self.reports.contains(UInt8(ascii: "}")) else { continue }
            let digits = self.reports.drop { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                .prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            self.hasReadInit = true
            if let number = Int32(String(decoding: digits, as: UTF8.self)), number > 1 {
                self.initDescriptor = orc_pidfd_open(number)
            }
            self.reports = []
        }
    }

    private mutating func readStatus() -> POSIX.ReadResult {
        let result = POSIX.read(self.statusDescriptor)
        if case .end = result { self.isStatusOpen = false }
        return result
    }

    /// Kills the sandbox's first process, with which the kernel ends everything in its pid namespace, and
    /// the launcher itself, whose end alone would do the same.
    mutating func killTree() {
        self.readReports()
        if self.initDescriptor >= 0 { _ = orc_pidfd_send_signal(self.initDescriptor, SIGKILL) }
        _ = kill(self.pid, SIGKILL)
    }

    /// True once the sandbox's first process is gone, which proves that nothing in it is left. To be asked
    /// after the launcher's own end.
    ///
    /// A launcher that is killed between making the sandbox's first process and arming its parent-death
    /// signal leaves that process waiting for ever. The shim is the reaper of such orphans and ends them.
    func isTreeGone() -> Bool {
        guard Self.endOrphans() else { return false }
        guard self.initDescriptor >= 0 else { return true }
        return POSIX.poll([(self.initDescriptor, POSIX.readable)], milliseconds: 0)[0] != 0
    }
}

extension Launcher {
    /// Makes this process the parent of what its descendants leave behind; once, before the first launch.
    static func becomeReaper() -> Bool { orc_become_subreaper() == 0 }

    /// Kills and reaps every child that there is; true when there is none any more.
    private static func endOrphans() -> Bool {
        let listed = POSIX.wholeFile("/proc/self/task/\(getpid())/children") ?? []
        let children = String(decoding: listed, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
        var areGone = true
        for child in children {
            _ = kill(child, SIGKILL)
            var ended = orc_exit()
            if unsafe orc_reap(child, &ended) == 0 { areGone = false }
        }
        return areGone
    }
}

/// Gives C a NULL-terminated array of strings for the time of the call.
func withCStrings<Result>(
    _ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe texts.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else {
            preconditionFailure("an array of at least one element has an address")
        }
        return unsafe body(base)
    }
}
