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
    private let group: ControlGroup

    /// What to poll for reports: -1 after the end, where a poll would return at once for ever.
    var pollDescriptor: Int32 { self.isStatusOpen ? self.statusDescriptor : -1 }

    /// Starts the launcher, or the command itself where there is none. `pty` is a terminal's master or -1; `stdio` are
    /// the descriptors for 0, 1, 2 (unused with a terminal) and any more that the program keeps.
    static func start(_ spec: LaunchSpec, pty: Int32, stdio: [Int32]) -> Result<Launcher, DomainError> {
        guard let status = POSIX.pipe(), let mapping = POSIX.pipe() else {
            return .failure(DomainError.invalidValue("no pipe can be had: errno \(errno)"))
        }
        var handed = HandedDescriptors(
            keeping: stdio, status: status.writer, mapping: mapping.reader, secrets: spec.secrets)
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
            group.remove()
            return .failure(DomainError.invalidValue("the launcher could not be started: errno \(-pid)"))
        }
        _ = orc_set_nonblocking(status.reader)
        var launcher = Launcher(
            pid: pid, statusDescriptor: status.reader, isDirect: spec.arguments.isEmpty, group: group)
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
        for (mapper, ranges) in [(map.userMapper, map.users), (map.groupMapper, map.groups)] {
            let numbers = ranges.flatMap { [String($0.inside), String($0.outside), String($0.count)] }
            if let problem = Self.runToEnd(mapper, [String(self.initNumber)] + numbers) { return problem }
        }
        return nil
    }

    /// Runs a small program; what it complained of when it failed, or nil.
    private static func runToEnd(_ path: String, _ arguments: [String]) -> String? {
        let null = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0, let errors = POSIX.pipe() else { return "\(path) could not be started: errno \(errno)" }
        defer {
            close(null)
            close(errors.reader)
        }
        let pid = unsafe withCStrings([path] + arguments) { argv in
            unsafe orc_spawn(path, argv, -1, [null, null, errors.writer], 3, [], 0)
        }
        close(errors.writer)
        guard pid > 0 else { return "\(path) could not be started: errno \(-pid)" }
        let words = Self.words(from: errors.reader)
        if words == nil { _ = kill(pid, SIGKILL) }
        var status: Int32 = 0
        guard unsafe orc_wait_change(pid, &status) == 1, status == 0 else {
            return "\(path) failed: \(words.map { String(decoding: $0, as: UTF8.self) } ?? "it took too long")"
        }
        return nil
    }

    /// What is written until the end, nil when that takes longer than a small program may.
    private static func words(from descriptor: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        let deadline = orc_monotonic_milliseconds() + 5000
        while orc_monotonic_milliseconds() < deadline, bytes.count <= 4096 {
            guard POSIX.poll([(descriptor, POSIX.readable)], milliseconds: 100)[0] != 0 else { continue }
            guard case .bytes(let more) = POSIX.read(descriptor) else { return bytes }
            bytes += more
        }
        return nil
    }

    private init(pid: Int32, statusDescriptor: Int32, isDirect: Bool, group: ControlGroup) {
        self.pid = pid
        self.statusDescriptor = statusDescriptor
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

    /// Asks the program and all below it to end: by SIGTERM, or by SIGHUP what pays no heed to that, such as a shell that
    /// somebody types at. False when there is nobody to be asked. What the sandbox is made of is left out: launcher,
    /// first process, and with a terminal the guard.
    func askToEnd(isTerminal: Bool) -> Bool {
        var layer = [getpid()]
        for _ in 0..<((self.isDirect ? 0 : 2) + (isTerminal ? 1 : 0)) { layer = layer.flatMap(Self.children(of:)) }
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
    /// signal leaves that process waiting for ever. The shim is the reaper of such orphans and ends them.
    ///
    /// Its control groups go with it.
    func isTreeGone() -> Bool {
        guard Self.endOrphans() else { return false }
        guard
            self.initDescriptor < 0
                || POSIX.poll([(self.initDescriptor, POSIX.readable)], milliseconds: 0)[0] != 0
        else { return false }
        guard self.group.isEmpty else {
            self.group.kill()
            return false
        }
        self.group.remove()
        return true
    }
}

extension Launcher {
    /// True when the launcher or the guard ended without a program: each says so by its status and first words. A program
    /// that forges them forges its own end.
    static func hasRefused(_ code: Int32, words: [UInt8]) -> Bool {
        code == 1 && words.starts(with: "bwrap: ".utf8)
            || code == GuardWords.refusal && words.starts(with: GuardWords.prefix.utf8)
    }

    /// Makes this process the parent of what its descendants leave behind; once, before the first launch.
    static func becomeReaper() -> Bool { orc_become_subreaper() == 0 }

    /// Stops every descendant that there is and kills it, a few times over: one that forks faster is met again by the
    /// next call. Only what is a descendant now is killed, never a number from before.
    private static func endDescendants() {
        for _ in 0..<20 {
            let all = self.descendants()
            if all.isEmpty { return }
            for process in all { _ = kill(process, SIGSTOP) }
            for process in all { _ = kill(process, SIGKILL) }
        }
    }

    /// All processes below this one, parents before their children.
    private static func descendants() -> [Int32] {
        var found = self.children(of: getpid())
        var next = 0
        while next < found.count {
            found += self.children(of: found[next])
            next += 1
        }
        return found
    }

    /// Stops the whole tree where it stands, from the top, and again until all of it is seen to stand: one that still runs
    /// could let others go on. How many processes there are; nil when some would not stand still.
    func freeze() -> Int? {
        if let count = self.group.freeze(milliseconds: Self.freezeMilliseconds) { return count }
        let deadline = orc_monotonic_milliseconds() + Self.freezeMilliseconds
        var isFirst = true
        while orc_monotonic_milliseconds() < deadline {
            let all = Self.descendants()
            let running = all.filter { !Self.isStopped($0) }
            if running.isEmpty { return all.count }
            for process in running {
                _ = kill(process, SIGSTOP)
                // One by one at first, so that a shell does not learn that its child was stopped.
                if isFirst, orc_monotonic_milliseconds() < deadline { Self.waitUntilStopped(process) }
            }
            isFirst = false
        }
        // All or nothing: what did stop goes on.
        _ = self.thaw()
        return nil
    }

    private static let freezeMilliseconds: UInt64 = 1000

    private static func isStopped(_ process: Int32) -> Bool {
        let fields = POSIX.wholeFile("/proc/\(process)/stat").map { String(decoding: $0, as: UTF8.self) } ?? ""
        // The name in parentheses may hold anything.
        let state = fields.split(separator: ")").last?.split(separator: " ").first
        return state == nil || state == "T" || state == "t" || state == "Z"
    }

    /// A parent that waits in the kernel would still learn that its child was stopped, and a shell print so.
    private static func waitUntilStopped(_ process: Int32) {
        for _ in 0..<20 where !self.isStopped(process) { _ = POSIX.poll([], milliseconds: 1) }
    }

    /// Lets all go on.
    func thaw() -> Int {
        let count = self.group.thaw()
        // Also where the group was not frozen in time, and signals did it.
        let all = Self.descendants()
        for process in all.reversed() { _ = kill(process, SIGCONT) }
        return count ?? all.count
    }

    /// The children of all threads of a process.
    private static func children(of process: Int32) -> [Int32] {
        POSIX.names(in: "/proc/\(process)/task").flatMap { thread in
            let listed = POSIX.wholeFile("/proc/\(process)/task/\(thread)/children") ?? []
            return String(decoding: listed, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
        }
    }

    /// Kills and reaps every child that there is; true when there is none any more.
    private static func endOrphans() -> Bool {
        var areGone = true
        for child in self.children(of: getpid()) {
            if !self.children(of: child).isEmpty { self.endDescendants() }
            _ = kill(child, SIGKILL)
            var ended = orc_exit()
            if unsafe orc_reap(child, &ended) == 0 { areGone = false }
        }
        return areGone
    }
}

/// The descriptors that a launch hands on, each at the number of its place.
private struct HandedDescriptors {
    private(set) var descriptors: [Int32]
    private let kept: Int
    private let statusNumber: Int
    private let mappingNumber: Int
    private let secrets: [LaunchSpec.Secret]

    init(keeping stdio: [Int32], status: Int32, mapping: Int32, secrets: [LaunchSpec.Secret]) {
        self.secrets = secrets
        self.descriptors = stdio + [status, mapping]
        self.kept = stdio.count
        self.statusNumber = stdio.count
        self.mappingNumber = stdio.count + 1
    }

    /// Adds a file in memory; its number.
    mutating func add(_ bytes: [UInt8]) throws(DomainError) -> Int {
        let file = unsafe orc_memfd_with(bytes, bytes.count)
        guard file >= 0 else { throw DomainError.invalidValue("no memory file: errno \(-file)") }
        self.descriptors.append(file)
        return self.descriptors.count - 1
    }

    mutating func texts(of arguments: [LaunchSpec.Argument]) throws(DomainError) -> [String] {
        var texts: [String] = []
        for argument in arguments {
            switch argument {
            case .text(let text): texts.append(text)
            case .data(let bytes): texts.append(String(try self.add(bytes)))
            case .secret(let name):
                guard let secret = self.secrets.first(where: { $0.name == name }) else {
                    throw DomainError.invalidValue("the secret '\(name)' was not handed over")
                }
                texts.append(String(try self.add(secret.bytes)))
            case .statusDescriptor: texts.append(String(self.statusNumber))
            case .mappingDescriptor: texts.append(String(self.mappingNumber))
            }
        }
        return texts
    }

    /// Closes what is the child's alone.
    func closeOwn() { for descriptor in self.descriptors[self.kept...] { close(descriptor) } }
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
