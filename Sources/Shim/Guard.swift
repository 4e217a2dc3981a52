internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The first program inside a sandbox: puts on the layers that can only be put on from inside, looks at each one
/// that is demanded, and becomes the program only when all hold.
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

    /// Reads its file from the descriptor with this number. Returns the status to end with.
    static func run(descriptor: String) -> Int32 {
        guard let number = Int32(descriptor), let bytes = POSIX.untilEnd(of: number, limit: 1024 * 1024),
            let spec = try? GuardSpec(decoding: bytes)
        else {
            complain("its file cannot be read")
            return GuardWords.refusal
        }
        var sandbox = Guard(spec: spec)
        return sandbox.run()
    }

    private init(spec: GuardSpec) { self.spec = spec }

    private mutating func run() -> Int32 {
        // When the host runs out of memory, what nobody has to trust goes first. It may not be taken back: Landlock keeps
        // programs from writing in /proc.
        self.apply("out-of-memory", orc_prefer_oom_kill())
        // Nothing of the launcher's or the shim's stays open, be it forgotten there or not.
        self.apply("descriptors", orc_close_from(UInt32(self.spec.lastDescriptor) + 1))
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
            for layer in layers {
                let line = "\(layer.name)\t\(layer.problem == nil ? "ok" : "no")\t\(layer.problem ?? "holds")\n"
                _ = POSIX.writeAll(STDOUT_FILENO, Array(line.utf8))
            }
            return 0
        case .run:
            let missing = layers.filter { $0.problem != nil }
            guard missing.isEmpty else {
                let words = missing.map { "\($0.name) (\($0.problem ?? ""))" }.joined(separator: ", ")
                complain("these layers do not hold: \(words)")
                return GuardWords.refusal
            }
            return self.runProgram()
        }
    }

    private mutating func apply(_ name: String, _ result: Int32) {
        if result < 0 { self.setUp.append(Layer(name, "it could not be put on: errno \(-result)")) }
    }

    // MARK: - Putting layers on

    private mutating func becomeOwnUser(_ user: GuardSpec.OwnUser) {
        for path in self.spec.handedOver {
            self.apply("own-user", unsafe orc_chown(path, user.inside, user.inside))
        }
        if !SharedTree.share(self.spec.sharedTree, with: user.inside) {
            self.setUp.append(Layer("own-user", "\(self.spec.sharedTree) could not be shared: errno \(errno)"))
        }
        self.apply("own-user", orc_become_user(user.inside, user.inside))
    }

    private mutating func setLimits() {
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
        return orc_landlock_restrict(rules)
    }

    // MARK: - The program

    private func runProgram() -> Int32 {
        guard let path = self.spec.argv.first else { return GuardWords.refusal }
        let environment = self.spec.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        guard self.spec.isTerminal else {
            let result = unsafe withCStrings(self.spec.argv) { argv in
                unsafe withCStrings(environment) { unsafe orc_exec(path, argv, $0) }
            }
            return Self.notStarted(path, result)
        }
        let program = unsafe withCStrings(self.spec.argv) { argv in
            unsafe withCStrings(environment) { unsafe orc_start_program(path, argv, $0, 1) }
        }
        guard program > 0 else { return Self.notStarted(path, program) }
        return Self.attend(program)
    }

    /// As a shell's words and statuses for a program that cannot be run.
    private static func notStarted(_ path: String, _ result: Int32) -> Int32 {
        let isMissing = result == -ENOENT
        complain("\(path): \(isMissing ? "no such program" : "it cannot be run (errno \(-result))")")
        return isMissing ? 127 : 126
    }

    /// Waits for the program's end; its status, or 128 and its signal.
    private static func attend(_ program: Int32) -> Int32 {
        var status: Int32 = 0
        while unsafe orc_wait_change(program, &status) == 1 {
            if status & 0xFF == 0x7F {
                // Nobody is here who could type `fg`: a program that stops itself goes on.
                _ = orc_set_foreground(program)
                _ = kill(-program, SIGCONT)
                continue
            }
            let signal = status & 0x7F
            return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        }
        return GuardWords.refusal
    }
}

/// Complaints of the guard begin so; the shim tells by it that no program ran.
private func complain(_ text: String) {
    _ = POSIX.writeAll(STDERR_FILENO, Array("\(GuardWords.prefix)\(text)\n".utf8))
}

extension GuardSpec {
    /// Limits by name, resource and value. The process limit counts per sandbox, since it is set inside its user namespace.
    var limits: [(name: String, resource: Int32, value: UInt64)] {
        [
            ("core", 4, 0), ("processes", 6, self.processLimit), ("open-files", 7, self.openFileLimit),
            ("file-size", 1, self.fileSizeLimit), ("memory", 2, self.memoryLimit),
        ]
    }
}

/// Landlock's rights, by the version that the kernel offers (`linux/landlock.h`).
struct LandlockRights {
    /// All rights on files that this version knows.
    let all: UInt64
    let network: UInt64
    let scoped: UInt64

    private static let execute: UInt64 = 1 << 0
    private static let writeFile: UInt64 = 1 << 1
    private static let readFile: UInt64 = 1 << 2
    private static let readDirectory: UInt64 = 1 << 3
    private static let makeCharacter: UInt64 = 1 << 6
    private static let makeBlock: UInt64 = 1 << 11
    private static let truncate: UInt64 = 1 << 14
    private static let deviceControl: UInt64 = 1 << 15

    init(version: Int32) {
        var count: UInt64 = 13
        if version >= 2 { count += 1 }  // linking and renaming between directories
        if version >= 3 { count += 1 }  // truncation
        if version >= 5 { count += 1 }  // requests to devices
        self.all = (1 << count) - 1
        self.network = version >= 4 ? 0b11 : 0  // binding and connecting TCP
        self.scoped = version >= 6 ? 0b11 : 0  // abstract sockets, signals
    }

    func rights(for access: GuardSpec.Access) -> UInt64 {
        let wanted =
            switch access {
            case .read: Self.execute | Self.readFile | Self.readDirectory
            case .write: self.all & ~(Self.makeCharacter | Self.makeBlock)
            case .device:
                Self.readFile | Self.readDirectory | Self.writeFile | Self.truncate | Self.deviceControl
            case .file: Self.readFile
            }
        return wanted & self.all
    }
}
