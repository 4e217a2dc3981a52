internal import CLinux
internal import Glibc
internal import ShimProtocol

/// Checks from inside whether each layer holds. What the kernel answers counts, not what was asked for.
struct GuardChecks {
    let spec: GuardSpec

    func layers() -> [Guard.Layer] {
        var layers = [
            self.capabilities(), self.noNewPrivileges(), self.filter(), self.descriptors(), self.refusedCalls(),
            self.limits(), self.workspace(),
        ]
        if self.spec.isNamespaced {
            layers += [
                self.namespaces(), self.network(), self.firstProcess(), self.mounts(), self.readOnlyRoot(),
                self.sizes(), self.writableDirectories(),
            ]
        }
        if self.spec.ownUser != nil { layers.append(self.ownUser()) }
        if self.spec.isLandlocked { layers.append(self.landlock()) }
        if self.spec.isTerminal { layers.append(self.terminal()) }
        return layers
    }

    // MARK: - This process

    private func capabilities() -> Guard.Layer {
        Guard.Layer("capabilities", orc_has_capabilities() == 0 ? nil : "some are held")
    }

    private func noNewPrivileges() -> Guard.Layer {
        // PR_GET_NO_NEW_PRIVS
        let isOn = orc_syscall(Self.prctl, 39, 0, 0, 0, 0, 0) == 1
        return Guard.Layer("no-new-privileges", isOn ? nil : "set-uid programs would gain rights")
    }

    private func filter() -> Guard.Layer {
        // PR_GET_SECCOMP: 2 is a filter.
        let mode = orc_syscall(Self.prctl, 21, 0, 0, 0, 0, 0)
        return Guard.Layer("filter", mode == 2 ? nil : "no filter of system calls is loaded")
    }

    private func descriptors() -> Guard.Layer {
        let first = Int32(self.spec.lastDescriptor) + 1
        let open = (first..<1024).filter { descriptor in
            let flags = fcntl(descriptor, F_GETFD)
            // That of the report ends with the guard.
            return flags >= 0 && !(descriptor == first && flags & FD_CLOEXEC != 0)
        }
        return Guard.Layer("descriptors", open.isEmpty ? nil : "\(open) are open")
    }

    private func limits() -> Guard.Layer {
        let wrong = self.spec.limits.filter {
            $0.name != "core" && $0.value == 0 || orc_has_limit($0.resource, $0.value) != 1
        }
        return Guard.Layer("limits", wrong.isEmpty ? nil : "\(wrong.map(\.name).joined(separator: ", ")) not limited")
    }

    #if arch(x86_64)
        private static let prctl = 157
        private static let ioctl = 16
        private static let socketCall = 41
        private static let ptrace = 101
        private static let setns = 308
        private static let unshareCall = 272
        private static let keyctl = 250
        private static let perf = 298
        private static let mkdirat = 258
    #else
        private static let prctl = 167
        private static let ioctl = 29
        private static let socketCall = 198
        private static let ptrace = 117
        private static let setns = 268
        private static let unshareCall = 97
        private static let keyctl = 219
        private static let perf = 241
        private static let mkdirat = 34
    #endif

    /// Calls that must not even reach the kernel; each is asked so that the kernel itself would answer otherwise.
    private func refusedCalls() -> Guard.Layer {
        let newUser = 0x1000_0000
        var attempts: [(name: String, answer: Int)] = [
            ("unix datagram sockets", orc_syscall(Self.socketCall, Int(AF_UNIX), 2, 0, 0, 0, 0)),
            ("vsock", orc_syscall(Self.socketCall, 40, 1, 0, 0, 0, 0)),
            ("netlink", orc_syscall(Self.socketCall, 16, 3, 0, 0, 0, 0)),
            ("SCTP", orc_syscall(Self.socketCall, 2, 1, 132, 0, 0, 0)),
            ("multipath TCP", orc_syscall(Self.socketCall, 2, 1, 262, 0, 0, 0)),
            ("typing at the terminal", orc_syscall(Self.ioctl, 0, 0x5412, 0, 0, 0, 0)),
            ("typing by the high half", orc_syscall(Self.ioctl, 0, 0x1_0000_5412, 0, 0, 0, 0)),
            ("the console's menu", orc_syscall(Self.ioctl, 0, 0x541C, 0, 0, 0, 0)),
            ("tracing", orc_syscall(Self.ptrace, 16, 0x7FFF_FFFF, 0, 0, 0, 0)),
            ("entering namespaces", orc_syscall(Self.setns, -1, 0, 0, 0, 0, 0)),
            ("keyrings", orc_syscall(Self.keyctl, 0, -3, 0, 0, 0, 0)),
            ("performance events", orc_syscall(Self.perf, 0, 0, -1, -1, 0, 0)),
            ("io_uring", orc_syscall(425, 0, 0, 0, 0, 0, 0)),
            ("new mounts", orc_syscall(428, -1, 0, 0, 0, 0, 0)),
            ("nested namespaces", orc_syscall(Self.unshareCall, newUser, 0, 0, 0, 0, 0)),
        ]
        if !self.spec.allowsUnixSockets {
            attempts.append(("unix sockets", orc_syscall(Self.socketCall, Int(AF_UNIX), 1, 0, 0, 0, 0)))
        }
        if !self.spec.isNamespaced {
            attempts.append(("internet sockets", orc_syscall(Self.socketCall, 2, 1, 0, 0, 0, 0)))
        }
        let allowed = attempts.filter { $0.answer != -Int(EPERM) }
        return Guard.Layer(
            "refused-calls",
            allowed.isEmpty ? nil : allowed.map { "\($0.name) (\($0.answer))" }.joined(separator: ", "))
    }

    private func terminal() -> Guard.Layer {
        Guard.Layer("terminal", isatty(0) == 1 ? nil : "descriptor 0 is no terminal")
    }

    // MARK: - What is around it

    private func namespaces() -> Guard.Layer {
        // One that cannot be seen cannot be distinguished from the node's.
        let shared = self.spec.namespaces.filter { namespace in
            POSIX.link("/proc/self/ns/\(namespace.name)").map { $0 == namespace.link } ?? true
        }
        if self.spec.namespaces.isEmpty {
            return Guard.Layer("namespaces", "they cannot be distinguished from the node's")
        }
        return Guard.Layer(
            "namespaces", shared.isEmpty ? nil : "\(shared.map(\.name).joined(separator: ", ")) shared with the node")
    }

    private func network() -> Guard.Layer {
        let text = String(decoding: POSIX.wholeFile("/proc/self/net/dev") ?? [], as: UTF8.self)
        let devices = GuardTables.devices(text)
        return Guard.Layer("network", devices == ["lo"] ? nil : "found \(devices.joined(separator: ", "))")
    }

    private func firstProcess() -> Guard.Layer {
        // An environment that may not be read is as good as an empty one.
        let environment = POSIX.wholeFile("/proc/1/environ") ?? []
        if !environment.isEmpty { return Guard.Layer("environment", "the launcher's is visible in process 1") }
        let processes = POSIX.names(in: "/proc").compactMap { Int($0) }.filter { $0 > 1 && $0 != Int(getpid()) }
        return Guard.Layer("environment", processes.isEmpty ? nil : "other processes are visible: \(processes)")
    }

    private func mounts() -> Guard.Layer {
        let text = String(decoding: POSIX.wholeFile("/proc/self/mountinfo") ?? [], as: UTF8.self)
        guard let extra = GuardTables.unexpectedMounts(text, expected: Set(self.spec.mounts)) else {
            return Guard.Layer("mounts", "none can be seen")
        }
        return Guard.Layer("mounts", extra.isEmpty ? nil : "something is mounted at \(extra.joined(separator: ", "))")
    }

    private func readOnlyRoot() -> Guard.Layer {
        let writable = ["/", "/dev", "/usr"].filter { path in
            var status = statvfs()
            return unsafe statvfs(path, &status) != 0 || status.f_flag & UInt(ST_RDONLY) == 0
        }
        return Guard.Layer(
            "read-only-root", writable.isEmpty ? nil : "\(writable.joined(separator: ", ")) can be written")
    }

    private func sizes() -> Guard.Layer {
        let unbounded = self.spec.sizes.filter { directory in
            var status = statvfs()
            guard unsafe statvfs(directory.path, &status) == 0 else { return true }
            let size = UInt64(status.f_blocks) * UInt64(status.f_frsize)
            return size == 0 || size > directory.size + UInt64(status.f_frsize)
        }
        return Guard.Layer(
            "sizes", unbounded.isEmpty ? nil : "\(unbounded.map(\.path).joined(separator: ", ")) are not bounded")
    }

    /// Directories that any program may write must be that for the program's user, not for the launcher's.
    private func writableDirectories() -> Guard.Layer {
        let closed = self.spec.sizes.map(\.path).filter { path in
            unsafe access(path, W_OK | X_OK) != 0 && path != "/run"
        }
        return Guard.Layer("writable", closed.isEmpty ? nil : "\(closed.joined(separator: ", ")) cannot be written")
    }

    private func workspace() -> Guard.Layer {
        let isWritable = unsafe access(self.spec.sharedTree, W_OK | X_OK) == 0
        return Guard.Layer("workspace", isWritable ? nil : "\(self.spec.sharedTree) cannot be written: errno \(errno)")
    }

    private func ownUser() -> Guard.Layer {
        guard let user = self.spec.ownUser else { return Guard.Layer("own-user", nil) }
        guard getuid() == user.inside, geteuid() == user.inside else {
            return Guard.Layer("own-user", "it runs as \(getuid())")
        }
        let text = String(decoding: POSIX.wholeFile("/proc/self/uid_map") ?? [], as: UTF8.self)
        let isMapped = GuardTables.isMapped(text, inside: user.inside, outside: user.outside)
        return Guard.Layer("own-user", isMapped ? nil : "it is not the host's user \(user.outside)")
    }

    private func landlock() -> Guard.Layer {
        // Each of these directories could be written by its mode; the lock alone says no. Where there is none of them
        // the kernel's word at putting it on must do.
        let tried = self.spec.isNamespaced ? "/run/orch/x" : "/tmp/orchestra-guard-\(getpid())"
        let answer = unsafe tried.withCString { path in
            unsafe orc_syscall_with(Self.mkdirat, path, 1, Int(AT_FDCWD), 0, 0o700, 0, 0, 0)
        }
        if answer >= 0 { _ = unsafe rmdir(tried) }
        return Guard.Layer(
            "landlock", answer == -Int(EACCES) ? nil : "a directory could be made outside its rules (\(answer))")
    }
}

extension POSIX {
    /// What a symbolic link says, nil when it cannot be read.
    static func link(_ path: String) -> String? {
        var count = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, initialized in
            guard let start = buffer.baseAddress else { return }
            count = unsafe start.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
                unsafe readlink(path, $0, buffer.count)
            }
            initialized = max(0, count)
        }
        return count > 0 ? String(decoding: bytes, as: UTF8.self) : nil
    }
}
