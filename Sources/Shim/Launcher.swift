internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// Starts the sandbox's launcher and ends the whole tree it made.
struct Launcher: ProcessTree {
    let pid: Int32
    /// Reads the launcher's reports; the first one names the sandbox's first process.
    let statusDescriptor: Int32
    private var reports: [UInt8] = []
    private var initDescriptor: Int32 = -1
    private var initNumber: Int32 = 0
    /// True where there is no launcher, and so no process whose end ends all others.
    private let isDirect: Bool
    /// True once the launcher reported the sandbox's first process; without that nothing ever ran.
    private(set) var hasReadInit: Bool
    private var isStatusOpen = true
    private let reportDescriptor: Int32
    private var isReportAtEnd = false
    /// Listening sockets that the guard has passed on and that were not taken yet.
    private var listeners: [Int32] = []
    /// False for a program that is run without a guard: then the launcher's end is all that is known.
    private let hasGuard: Bool
    /// What the guard reported up to now.
    private(set) var guardReport = GuardReport()
    let group: ControlGroup
    /// What the tree's control groups counted, once the tree is gone.
    private(set) var memoryKills: UInt32?

    /// What to poll for reports: -1 after the end, where every poll would return at once.
    var pollDescriptor: Int32 { self.isStatusOpen ? self.statusDescriptor : -1 }

    /// Starts the launcher, or the command itself where there is none. `pty` is a terminal's master or -1; `stdio` are
    /// the descriptors for 0, 1, 2 (unused with a terminal) and any more that the program keeps.
    static func start(_ spec: LaunchSpec, pty: Int32, stdio: [Int32]) -> Result<Launcher, DomainError> {
        guard let status = POSIX.pipe(), let mapping = POSIX.pipe(), let report = POSIX.socketPair() else {
            return .failure(DomainError.invalidValue("no pipe and no pair of sockets can be had: errno \(errno)"))
        }
        var handed = HandedDescriptors(
            keeping: stdio, status: status.writer, mapping: mapping.reader, report: report.writer,
            secrets: spec.secrets)
        defer { handed.closeOwn() }
        let name = spec.executable.split(separator: "/").last.map(String.init) ?? spec.executable
        var argv = [name]
        do throws(DomainError) {
            if !spec.arguments.isEmpty {
                var text: [UInt8] = []
                for argument in try handed.texts(of: spec.arguments) { text += Array(argument.utf8) + [0] }
                argv += ["--args", String(try handed.add(text)), "--"]
            }
            argv += try handed.texts(of: spec.command)
        } catch {
            return .failure(error)
        }
        var group: ControlGroup
        switch ControlGroup.make(spec.controlGroups) {
        case .failure(let error): return .failure(error)
        case .success(let made): group = made
        }
        let pid = unsafe withCStrings(argv) { argv in
            unsafe orc_spawn(
                spec.executable, argv, pty, handed.descriptors, handed.descriptors.count, group.entries,
                group.entries.count)
        }
        group.closeEntries()
        guard pid > 0 else {
            close(status.reader)
            close(mapping.writer)
            close(report.reader)
            group.remove()
            return .failure(DomainError.invalidValue("the launcher could not be started: errno \(-pid)"))
        }
        _ = orc_set_nonblocking(status.reader)
        _ = orc_set_nonblocking(report.reader)
        var launcher = Launcher(
            pid: pid, statusDescriptor: status.reader, reportDescriptor: report.reader,
            isDirect: spec.arguments.isEmpty,
            hasGuard: spec.command.contains(.reportDescriptor), group: group)
        defer { close(mapping.writer) }
        guard let map = spec.userMap else { return .success(launcher) }
        if let problem = launcher.mapUsers(map) {
            launcher.abandon()
            return .failure(DomainError.invalidValue(problem))
        }
        guard POSIX.writeAll(mapping.writer, [1]) else {
            launcher.abandon()
            return .failure(DomainError.invalidValue("the launcher ended while its users were mapped"))
        }
        return .success(launcher)
    }

    /// Ends a launch that failed half-way, with its groups.
    private mutating func abandon() {
        self.killTree()
        let deadline = orc_monotonic_milliseconds() + 1000
        while !self.isTreeGone(), orc_monotonic_milliseconds() < deadline { _ = POSIX.poll([], milliseconds: 2) }
    }

    /// Gives the sandbox its users, for which the launcher waits; what went wrong, or nil.
    private mutating func mapUsers(_ map: LaunchSpec.UserMap) -> String? {
        let deadline = orc_monotonic_milliseconds() + 5000
        while !self.hasReadInit {
            guard self.isStatusOpen, orc_monotonic_milliseconds() < deadline else {
                return "the launcher did not name its process"
            }
            _ = POSIX.poll([(self.statusDescriptor, POSIX.readable)], milliseconds: 100)
            self.readReports()
        }
        // Both at once: neither needs the other's map, and each takes more than a millisecond.
        let mappers = [(map.userMapper, map.users), (map.groupMapper, map.groups)].map { mapper, ranges in
            let numbers = ranges.flatMap { [String($0.inside), String($0.outside), String($0.count)] }
            return SmallProgram(mapper, [String(self.initNumber)] + numbers)
        }
        return mappers.map { $0.problem() }.compactMap { $0 }.first
    }

    /// A program that runs for a moment.
    private struct SmallProgram {
        private let path: String
        /// Negative when it could not be started: an error number.
        private let pid: Int32
        /// What it writes as errors; -1 when it could not be started.
        private let errors: Int32

        init(_ path: String, _ arguments: [String]) {
            self.path = path
            let null = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
            guard null >= 0, let errors = POSIX.pipe() else {
                (self.pid, self.errors) = (-errno, -1)
                if null >= 0 { close(null) }
                return
            }
            defer { close(null) }
            self.pid = unsafe withCStrings([path] + arguments) { argv in
                unsafe orc_spawn(path, argv, -1, [null, null, errors.writer], 3, [], 0)
            }
            self.errors = errors.reader
            close(errors.writer)
        }

        /// Waits for its end; its error message when it failed, or nil. Call it once.
        func problem() -> String? {
            defer { if self.errors >= 0 { close(self.errors) } }
            guard self.pid > 0 else { return "\(self.path) could not be started: errno \(-self.pid)" }
            let words = Launcher.words(from: self.errors)
            if words == nil { _ = kill(self.pid, SIGKILL) }
            var status: Int32 = 0
            guard unsafe orc_wait_change(self.pid, &status) == 1, status == 0 else {
                return
                    "\(self.path) failed: \(words.map { String(decoding: $0, as: UTF8.self) } ?? "it took too long")"
            }
            return nil
        }
    }

    /// What is written until the end, nil when that takes longer than a small program may.
    fileprivate static func words(from descriptor: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        let deadline = orc_monotonic_milliseconds() + 5000
        while orc_monotonic_milliseconds() < deadline, bytes.count <= 4096 {
            guard POSIX.poll([(descriptor, POSIX.readable)], milliseconds: 100)[0] != 0 else { continue }
            guard case .bytes(let more) = POSIX.read(descriptor) else { return bytes }
            bytes += more
        }
        return nil
    }

    private init(
        pid: Int32, statusDescriptor: Int32, reportDescriptor: Int32, isDirect: Bool, hasGuard: Bool,
        group: ControlGroup
    ) {
        self.pid = pid
        self.statusDescriptor = statusDescriptor
        self.reportDescriptor = reportDescriptor
        self.hasGuard = hasGuard
        self.isDirect = isDirect
        self.hasReadInit = isDirect
        self.group = group
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
                self.initNumber = number
                self.initDescriptor = orc_pidfd_open(number)
            }
            self.reports = []
        }
    }

    /// Reads what the guard has reported up to now.
    private mutating func readGuardReport() {
        while !self.isReportAtEnd {
            switch POSIX.receive(self.reportDescriptor, limit: 64) {
            case .bytes(let bytes, let descriptor):
                self.guardReport.take(bytes)
                if descriptor >= 0 { self.listeners.append(descriptor) }
            case .wouldBlock: return
            case .end: self.isReportAtEnd = true
            }
        }
    }

    var guardDescriptor: Int32 { self.isReportAtEnd ? -1 : self.reportDescriptor }

    mutating func takeListeners() -> [Int32] {
        self.readGuardReport()
        defer { self.listeners = [] }
        return self.listeners
    }

    private mutating func readStatus() -> POSIX.ReadResult {
        let result = POSIX.read(self.statusDescriptor)
        if case .end = result { self.isStatusOpen = false }
        return result
    }

    func reap() -> orc_exit? {
        var result = orc_exit()
        return unsafe orc_reap(self.pid, &result) == 1 ? result : nil
    }

    /// Kills the sandbox's first process, with which the kernel ends everything in its pid namespace, and
    /// the launcher itself, whose end alone would do the same.
    mutating func killTree() {
        self.group.kill()
        if self.isDirect { return Self.endDescendants() }
        self.readReports()
        if self.initDescriptor >= 0 { _ = orc_pidfd_send_signal(self.initDescriptor, SIGKILL) }
        _ = kill(self.pid, SIGKILL)
    }

    /// Asks the program and all below it to end: by SIGTERM, or by SIGHUP what ignores that, such as an interactive shell.
    /// False when there is no process to ask. What the sandbox is made of is left out: launcher,
    /// first process, and the guard.
    func askToEnd(isTerminal: Bool) -> Bool {
        var layer = [getpid()]
        // At tier 1 a guard without a terminal has become the program.
        for _ in 0..<(self.isDirect ? (isTerminal ? 1 : 0) : 3) { layer = layer.flatMap(Self.children(of:)) }
        var asked: [Int32] = []
        layer = layer.flatMap(Self.children(of:))
        while !layer.isEmpty, asked.count < Self.mostAsked {
            asked += layer
            layer = layer.flatMap(Self.children(of:))
        }
        for process in asked { _ = kill(process, Self.ignoresTermination(process) ? SIGHUP : SIGTERM) }
        for process in asked { _ = kill(process, SIGCONT) }
        return !asked.isEmpty
    }

    private static let mostAsked = 4096

    /// As `/proc/PID/status` says in `SigIgn`.
    private static func ignoresTermination(_ process: Int32) -> Bool {
        let lines = String(decoding: POSIX.wholeFile("/proc/\(process)/status") ?? [], as: UTF8.self)
            .split(separator: "\n")
        guard let mask = lines.first(where: { $0.hasPrefix("SigIgn:") })?.split(separator: "\t").last else {
            return false
        }
        return (UInt64(mask, radix: 16) ?? 0) & (1 << UInt64(SIGTERM - 1)) != 0
    }

    /// True once the sandbox's first process is gone, which proves that nothing in it is left. To be asked
    /// after the launcher's own end.
    ///
    /// A launcher that is killed between making the sandbox's first process and arming its parent-death
    /// signal leaves that process waiting indefinitely. The shim is the reaper of such orphans and ends them.
    ///
    /// Its control groups go with it.
    mutating func isTreeGone() -> Bool {
        guard Self.endOrphans() else { return false }
        guard
            self.initDescriptor < 0
                || POSIX.poll([(self.initDescriptor, POSIX.readable)], milliseconds: 0)[0] != 0
        else { return false }
        guard self.group.isEmpty else {
            self.group.kill()
            return false
        }
        // Counted as long as the group exists.
        self.memoryKills = self.memoryKills ?? self.group.memoryKills
        self.group.remove()
        return true
    }

    /// The record of an end whose tree is gone: the guard's word where there is one, else the launcher's. `endedBy` is what
    /// the shim itself did.
    mutating func record(of exit: orc_exit, endedBy: ExitRecord.EndedBy) -> ExitRecord {
        self.readReports()
        self.readGuardReport()
        var record = ExitRecord(
            endedBy: endedBy, code: exit.code, signal: exit.signal, userMicroseconds: exit.user_microseconds,
            systemMicroseconds: exit.system_microseconds, maxRSSKiB: exit.max_rss_kib)
        if let code = self.guardReport.code, let signal = self.guardReport.signal {
            (record.code, record.signal) = (code, signal)
        } else if self.isDirect, exit.signal != 0 {
            // The guard has become the program, whose end is the launcher's.
            record.code = 128 + exit.signal
        } else if !self.isDirect, self.guardReport.hasStarted, exit.code > 128 {
            // The guard itself was ended: it never ends so by itself.
            record.signal = exit.code - 128
        }
        if self.hasGuard, !self.guardReport.hasStarted, endedBy == .itself {
            record.endedBy = self.guardReport.isLaunchAtFault ? .launchFailed : .hostFailed
        }
        if let memoryKills = self.memoryKills {
            record.memoryWatch = .counted
            record.memoryKills = memoryKills
        }
        return record
    }
}
