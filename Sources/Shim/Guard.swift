internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The first program inside a sandbox: applies the layers that can only be applied from inside, checks each one that is
/// demanded, and starts the program only when all hold. It stays as the program's parent, reports how that ended, and ends
/// with the same status.
struct Guard {
    private var spec: GuardSpec
    private var setUp: [Layer] = []

    struct Layer {
        let name: String
        /// Nil when it holds.
        let problem: String?

        init(_ name: String, _ problem: String?) {
            self.name = name
            self.problem = problem
        }
    }

    /// Reads its file from the descriptor with the first number and reports on the second. Returns the status to end with.
    static func run(descriptor: String, report: String) -> Int32 {
        guard let number = Int32(descriptor), let reportNumber = Int32(report),
            let bytes = POSIX.untilEnd(of: number, limit: 1024 * 1024), let spec = decoded(bytes)
        else {
            reportProblem("its file is malformed")
            return GuardWords.refusal
        }
        var sandbox = Guard(spec: spec)
        return sandbox.run(report: reportNumber)
    }

    private static func decoded(_ bytes: [UInt8]) -> GuardSpec? {
        do { return try GuardSpec(decoding: bytes) } catch { return nil }
    }

    private init(spec: GuardSpec) { self.spec = spec }

    /// The descriptor of the report, right behind those of the program.
    private var report: Int32 { Int32(self.spec.lastDescriptor) + 1 }

    private mutating func run(report: Int32) -> Int32 {
        // When the host runs out of memory, sandboxed programs go first. That cannot be undone: Landlock keeps programs from
        // writing in /proc.
        self.apply("out-of-memory", orc_prefer_oom_kill())
        // Nothing of the launcher's or the shim's stays open, whether it was forgotten there or not.
        self.apply("descriptors", orc_place_descriptor(report, self.report))
        self.apply("descriptors", orc_close_from(UInt32(self.report) + 1))
        for port in self.spec.listeners { self.apply("listener", self.passListener(port)) }
        if let user = self.spec.ownUser { self.becomeOwnUser(user) }
        self.apply("no-new-privileges", orc_no_new_privileges())
        self.setLimits()
        if unsafe chdir(self.spec.directory) != 0 {
            self.setUp.append(Layer("directory", "\(self.spec.directory) cannot be entered: errno \(errno)"))
        }
        if self.spec.isLandlocked { self.apply("landlock", self.restrictFiles()) }
        // Without a file system of its own the sandbox' home lies in the workspace; what is there already may be a link.
        for path in self.spec.madeDirectories { _ = unsafe mkdir(path, 0o700) }
        if !self.spec.filter.isEmpty {
            self.apply("filter", unsafe orc_load_filter(self.spec.filter, self.spec.filter.count))
        }
        let layers = self.setUp + GuardChecks(spec: self.spec).layers()
        switch self.spec.task {
        case .report:
            self.send(GuardReport.startedMessage)
            for layer in layers {
                let line = "\(layer.name)\t\(layer.problem == nil ? "ok" : "no")\t\(layer.problem ?? "holds")\n"
                _ = POSIX.writeAll(STDOUT_FILENO, Array(line.utf8))
            }
            return 0
        case .run:
            let missing = layers.filter { $0.problem != nil }
            guard missing.isEmpty else {
                let words = missing.map { "\($0.name) (\($0.problem ?? ""))" }.joined(separator: ", ")
                reportProblem("these layers do not hold: \(words)")
                if missing.allSatisfy({ Self.launchLayers.contains($0.name) }) { self.send(GuardReport.refusedMessage) }
                return GuardWords.refusal
            }
            return self.runProgram()
        }
    }

    /// Layers that a workspace or a launch can break; all others are the host's.
    private static let launchLayers: Set<String> = ["directory", "workspace"]

    private func send(_ message: [UInt8]) { _ = POSIX.writeAll(self.report, message) }

    private mutating func apply(_ name: String, _ result: Int32) {
        if result < 0 { self.setUp.append(Layer(name, "it could not be applied: errno \(-result)")) }
    }

    // MARK: - Applying layers

    /// Listens at the port and passes the socket to the shim, which is outside of the network namespace and can have no
    /// other.
    private func passListener(_ port: UInt16) -> Int32 {
        let listener = orc_listen_loopback(port, 0)
        guard listener >= 0 else { return listener }
        defer { close(listener) }
        let message = GuardReport.listenerMessage(port)
        let sent = unsafe orc_send_descriptor(self.report, message, message.count, listener)
        return sent >= 0 && sent < Int32(message.count) ? -EIO : min(sent, 0)
    }

    private mutating func becomeOwnUser(_ user: GuardSpec.OwnUser) {
        for path in self.spec.handedOver {
            self.apply("own-user", unsafe orc_chown(path, user.inside, user.inside))
        }
        // What is opened again by its name, as /dev/stderr or the terminal, is checked against its owner.
        if self.spec.ownsDescriptors {
            for descriptor in 0...Int32(self.spec.lastDescriptor) {
                self.apply("own-user", orc_chown_stream(descriptor, user.inside, user.inside))
            }
        }
        if !SharedTree.share(self.spec.sharedTree, with: user.inside) {
            self.setUp.append(Layer("workspace", "\(self.spec.sharedTree) could not be shared: errno \(errno)"))
        }
        self.apply("own-user", orc_become_user(user.inside, user.inside))
    }

    /// Outside a user namespace the kernel counts all that runs as this user: the node and its other agents must not use up what
    /// the profile allows. They are counted here, and not when the launch was planned, since they come and go.
    private mutating func setLimits() {
        if !self.spec.isNamespaced, self.spec.processLimit > 0 {
            let running = orc_user_tasks()
            self.apply("limit-processes", min(running, 0))
            self.spec.processLimit += UInt64(max(running, 0))
        }
        for (name, resource, value) in self.spec.limits { self.apply("limit-\(name)", orc_set_limit(resource, value)) }
    }

    private func restrictFiles() -> Int32 {
        let version = orc_landlock_version()
        guard version >= 1 else { return version < 0 ? version : -ENOSYS }
        // Alone it must also keep files from being cut off (3), and signals and abstract sockets inside (6).
        guard self.spec.isNamespaced || version >= 6 else { return -ENOSYS }
        let rights = LandlockRights(version: version)
        // Sockets are the network namespace's matter where there is one.
        let rules = orc_landlock_make(rights.all, self.spec.isNamespaced ? 0 : rights.network, rights.scoped)
        guard rules >= 0 else { return rules }
        defer { close(rules) }
        for rule in self.spec.rules {
            let result = unsafe orc_landlock_allow(rules, rule.path, rights.rights(for: rule.access))
            guard result >= 0 || result == -ENOENT else { return result }
        }
        if self.spec.isTerminal {
            // The terminal is the host's: no path inside leads to it.
            let result = orc_landlock_allow_descriptor(rules, 0, rights.terminal)
            guard result >= 0 else { return result }
        }
        return orc_landlock_restrict(rules)
    }

    // MARK: - The program

    private func runProgram() -> Int32 {
        guard let path = self.spec.argv.first else { return GuardWords.refusal }
        let environment = self.spec.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        self.send(GuardReport.startedMessage)
        guard self.spec.isNamespaced || self.spec.isTerminal else { return self.becomeProgram(path, environment) }
        let program = unsafe withCStrings(self.spec.argv) { argv in
            unsafe withCStrings(environment) { unsafe orc_start_program(path, argv, $0, self.spec.isTerminal ? 1 : 0) }
        }
        guard program > 0 else { return self.notStarted(path, program) }
        // Its end of the program's pipes would keep them open; a terminal is needed for its foreground group.
        if !self.spec.isTerminal { for descriptor in 0...Int32(self.spec.lastDescriptor) { close(descriptor) } }
        return self.attend(program)
    }

    /// Without namespaces the limit of processes counts all of the node's user, so that a fork may be refused here; and the
    /// shim is the parent, which sees how the program ends.
    private func becomeProgram(_ path: String, _ environment: [String]) -> Int32 {
        let result = unsafe withCStrings(self.spec.argv) { argv in
            unsafe withCStrings(environment) { unsafe orc_exec(path, argv, $0) }
        }
        return self.notStarted(path, result)
    }

    /// Says as a shell does, in words and by its status, that a program cannot be run. What the host lacks is left to the
    /// shim to report: then nothing has started.
    private func notStarted(_ path: String, _ result: Int32) -> Int32 {
        let isMissing = result == -ENOENT
        reportProblem("\(path): \(isMissing ? "no such program" : "it cannot be run (errno \(-result))")")
        switch -result {
        case ENOMEM, ENFILE, EMFILE:
            self.send(GuardReport.notStartedMessage)
            return GuardWords.refusal
        // Also the sandbox's own limit of processes answers so.
        case EAGAIN:
            self.send(GuardReport.notStartedMessage + GuardReport.refusedMessage)
            return GuardWords.refusal
        default: return isMissing ? 127 : 126
        }
    }

    /// Waits for the program's end and reports it. Returns its status, or 128 and its signal.
    private func attend(_ program: Int32) -> Int32 {
        var status: Int32 = 0
        while unsafe orc_wait_change(program, &status) == 1 {
            if status & 0xFF == 0x7F {
                // No shell is there to type `fg` at: in a terminal, a program that stops itself is continued.
                guard self.spec.isTerminal else { continue }
                _ = orc_set_foreground(program)
                _ = kill(-program, SIGCONT)
                continue
            }
            self.send(GuardReport.endedMessage(status))
            let signal = status & 0x7F
            return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        }
        return GuardWords.refusal
    }
}

/// For people: the shim learns from the report that no program ran.
private func reportProblem(_ text: String) {
    _ = POSIX.writeAll(STDERR_FILENO, Array("\(GuardWords.prefix)\(text)\n".utf8))
}

extension GuardSpec {
    /// Limits by name, resource and value. The process limit counts per sandbox, since it is set inside its user namespace.
    var limits: [(name: String, resource: Int32, value: UInt64)] {
        [
            ("core", 4, 0), ("processes", 6, self.processLimit), ("open-files", 7, self.openFileLimit),
            ("file-size", 1, self.fileSizeLimit),
        ] + (self.memoryLimit == Self.unlimited ? [] : [("memory", 2, self.memoryLimit)])
    }
}
