/// The kernel's filter of system calls for a sandbox: a classic BPF program over `struct seccomp_data`.
///
/// What is refused answers EPERM, so that programs see an ordinary refusal; what newer kernels have beyond
/// `SyscallTable.highest` answers ENOSYS, as on the kernel that programs fall back for. The list follows Flatpak's
/// (`common/flatpak-run.c`) and adds what got out of sandboxes elsewhere: vsock, io_uring, MPTCP, set-id bits.
package struct SeccompFilter: Sendable {
    /// How much else stands around the filter.
    package enum Strictness: Hashable, Sendable {
        /// Own namespaces: loopback sockets and System V memory are the sandbox's own.
        case namespaced
        /// Nothing but Landlock: no sockets at all, no shared kernel objects.
        case shared
    }

    /// `struct sock_filter` instructions of eight bytes, in the machine's byte order.
    package let program: [UInt8]

    /// Nil on an architecture whose calls are not listed. `allowsUnixSockets` counts only in own namespaces, and lets stream
    /// sockets through: datagrams could be sent to any path without a connection.
    package init?(_ strictness: Strictness, allowsUnixSockets: Bool = false) {
        guard let architecture = SyscallTable.Architecture.current else { return nil }
        self.init(strictness, allowsUnixSockets: allowsUnixSockets, architecture: architecture)
    }

    init(_ strictness: Strictness, allowsUnixSockets: Bool = false, architecture: SyscallTable.Architecture) {
        var builder = Builder(architecture: architecture)
        let more = strictness == .shared ? Self.sharedOnly : Self.namespacedOnly(allowsUnixSockets)
        for rule in Self.common + more { builder.add(rule) }
        self.program = builder.finished()
    }

    // MARK: - What is refused

    struct Rule {
        let name: String
        var conditions: [Condition] = []
        var errno = Self.notPermitted

        static let notPermitted: UInt32 = 1
        static let notImplemented: UInt32 = 38
    }

    /// A test of the low 32 bits of an argument; the kernel itself looks at no more of these arguments.
    struct Condition {
        let argument: Int
        var mask: UInt32 = .max
        let value: UInt32
        /// True when the masked argument must equal the value, false when it must not.
        var equals = true
    }

    private static let never = [
        "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
        "process_mrelease", "mount", "umount2", "pivot_root", "chroot", "mount_setattr", "open_tree", "move_mount",
        "fsopen", "fsconfig", "fsmount", "fspick", "statmount", "listmount", "unshare", "setns", "keyctl", "add_key",
        "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
        "io_uring_register", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
        "create_module", "query_module", "get_kernel_syms", "acct", "swapon", "swapoff", "reboot", "sethostname",
        "setdomainname", "iopl", "ioperm", "quotactl", "quotactl_fd", "nfsservctl", "syslog", "settimeofday",
        "adjtimex", "clock_settime", "clock_adjtime", "vhangup", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl",
        "lookup_dcookie", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark", "move_pages",
        "migrate_pages", "mbind", "set_mempolicy_home_node", "remap_file_pages", "memfd_secret",
    ]

    /// CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET.
    private static let namespaceFlags: [UInt32] = [
        0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
    ]

    /// Ways to type at the terminal or to change what it is: TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD.
    private static let terminalRequests: [UInt32] = [0x5412, 0x541C, 0x541D, 0x5423]

    private static let setIDBits: [UInt32] = [0o4000, 0o2000]

    /// A family or a protocol that is the host's even in a network namespace of one's own, or none of a program's.
    private static let internet: (four: UInt32, six: UInt32) = (2, 10)
    private static let unixFamily: UInt32 = 1
    /// SOCK_STREAM and SOCK_SEQPACKET, and the bits of a type that are not flags.
    private static let stream: UInt32 = 1
    private static let sequencedPackets: UInt32 = 5
    private static let kindMask: UInt32 = 0xF
    /// The family's own choice, ICMP, TCP, UDP, ICMP of version 6.
    private static let protocols: [UInt32] = [0, 1, 6, 17, 58]

    private static var common: [Rule] {
        var rules = self.never.map { Rule(name: $0) }
        // Its flags lie in memory, where a filter cannot see them; glibc then uses clone.
        rules.append(Rule(name: "clone3", errno: Rule.notImplemented))
        rules += self.namespaceFlags.map { flag in
            Rule(name: "clone", conditions: [Condition(argument: 0, mask: flag, value: flag)])
        }
        rules += self.terminalRequests.map { Rule(name: "ioctl", conditions: [Condition(argument: 1, value: $0)]) }
        // ADDR_NO_RANDOMIZE and old personalities; asking for the current one is fine.
        rules.append(
            Rule(
                name: "personality",
                conditions: [
                    Condition(argument: 0, value: 0, equals: false),
                    Condition(argument: 0, value: .max, equals: false),
                ]))
        // Its mode lies in memory too.
        rules.append(Rule(name: "openat2", errno: Rule.notImplemented))
        for bit in self.setIDBits {
            for (name, argument) in [
                ("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("creat", 1), ("mknod", 1),
                ("mknodat", 2),
            ] {
                rules.append(Rule(name: name, conditions: [Condition(argument: argument, mask: bit, value: bit)]))
            }
            // The mode counts only where a file is made: O_CREAT, and the bit of O_TMPFILE.
            for creates: UInt32 in [0o100, 0o2000_0000] {
                for (name, flags) in [("open", 1), ("openat", 2)] {
                    rules.append(
                        Rule(
                            name: name,
                            conditions: [
                                Condition(argument: flags, mask: creates, value: creates),
                                Condition(argument: flags + 1, mask: bit, value: bit),
                            ]))
                }
            }
        }
        // A pair of datagram sockets can send to any path; streams are tied to each other.
        rules.append(
            Rule(
                name: "socketpair",
                conditions: [
                    Condition(argument: 1, mask: self.kindMask, value: self.stream, equals: false),
                    Condition(argument: 1, mask: self.kindMask, value: self.sequencedPackets, equals: false),
                ]))
        rules.append(
            Rule(name: "socketpair", conditions: [Condition(argument: 0, value: self.unixFamily, equals: false)]))
        return rules
    }

    private static func namespacedOnly(_ allowsUnixSockets: Bool) -> [Rule] {
        let families = [self.internet.four, self.internet.six] + (allowsUnixSockets ? [self.unixFamily] : [])
        return [
            Rule(
                name: "socket",
                conditions: families.map { Condition(argument: 0, value: $0, equals: false) }),
            Rule(
                name: "socket",
                conditions: [
                    Condition(argument: 0, value: self.unixFamily),
                    Condition(argument: 1, mask: self.kindMask, value: self.stream, equals: false),
                ]),
            // Anything but ICMP, TCP and UDP would load modules of the kernel; multipath TCP leaves namespaces.
            Rule(
                name: "socket",
                conditions: self.protocols.map { Condition(argument: 2, value: $0, equals: false) }),
        ]
    }

    private static var sharedOnly: [Rule] {
        let names = [
            "socket", "shmget", "shmat", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd",
            "msgrcv", "msgctl", "mq_open", "mq_unlink",
            // Landlock looks at none of these: any file of the node's user could be opened to others, or closed.
            "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "setxattr",
            "lsetxattr",
            "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
        ]
        // Limits and scheduling of processes that are not the sandbox's own.
        let others = ["prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity"]
        return names.map { Rule(name: $0) }
            + others.map { Rule(name: $0, conditions: [Condition(argument: 0, value: 0, equals: false)]) }
            // Of itself alone: not of others, nor of all that its user has.
            + [("setpriority", 0), ("ioprio_set", 1)].flatMap { name, itself in
                [
                    Rule(name: name, conditions: [Condition(argument: 0, value: itself, equals: false)]),
                    Rule(name: name, conditions: [Condition(argument: 1, value: 0, equals: false)]),
                ]
            }
    }

    // MARK: - The program

    private struct Builder {
        private let architecture: SyscallTable.Architecture
        private var instructions: [(code: UInt16, whenTrue: UInt8, whenFalse: UInt8, value: UInt32)] = []

        // linux/bpf_common.h
        private static let load: UInt16 = 0x20
        private static let and: UInt16 = 0x54
        private static let jumpEqual: UInt16 = 0x15
        private static let jumpGreater: UInt16 = 0x25
        private static let jumpNotLess: UInt16 = 0x35
        private static let answer: UInt16 = 0x06
        // linux/seccomp.h
        private static let allow: UInt32 = 0x7FFF_0000
        private static let fail: UInt32 = 0x0005_0000
        private static let kill: UInt32 = 0x8000_0000
        private static let numberOffset: UInt32 = 0
        private static let architectureOffset: UInt32 = 4
        private static let argumentsOffset: UInt32 = 16
        /// Calls of the x32 interface, other numbers for the same calls.
        private static let x32: UInt32 = 0x4000_0000

        init(architecture: SyscallTable.Architecture) {
            self.architecture = architecture
            self.emit(Self.load, Self.architectureOffset)
            self.emit(Self.jumpEqual, architecture.auditNumber, whenTrue: 1)
            self.emit(Self.answer, Self.kill)
            self.emit(Self.load, Self.numberOffset)
            if architecture == .x86_64 {
                self.emit(Self.jumpNotLess, Self.x32, whenFalse: 1)
                self.emit(Self.answer, Self.kill)
            }
            self.emit(Self.jumpGreater, SyscallTable.highest, whenFalse: 1)
            self.emit(Self.answer, Self.fail | Rule.notImplemented)
        }

        private mutating func emit(_ code: UInt16, _ value: UInt32, whenTrue: UInt8 = 0, whenFalse: UInt8 = 0) {
            self.instructions.append((code, whenTrue, whenFalse, value))
        }

        /// Each rule begins and ends with the call's number loaded.
        mutating func add(_ rule: Rule) {
            guard let number = SyscallTable.number(rule.name, on: self.architecture) else { return }
            guard !rule.conditions.isEmpty else {
                self.emit(Self.jumpEqual, number, whenFalse: 1)
                self.emit(Self.answer, Self.fail | rule.errno)
                return
            }
            // What is jumped over: three for each condition (load, mask, test), the answer, and the reload.
            let body = UInt8(rule.conditions.count * 3 + 1)
            self.emit(Self.jumpEqual, number, whenFalse: body + 1)
            for (index, condition) in rule.conditions.enumerated() {
                // Past the rest of the conditions and the answer.
                let past = UInt8((rule.conditions.count - index - 1) * 3 + 1)
                self.emit(Self.load, self.offset(ofArgument: condition.argument))
                self.emit(Self.and, condition.mask)
                self.emit(
                    Self.jumpEqual, condition.value, whenTrue: condition.equals ? 0 : past,
                    whenFalse: condition.equals ? past : 0)
            }
            self.emit(Self.answer, Self.fail | rule.errno)
            self.emit(Self.load, Self.numberOffset)
        }

        /// Both architectures are little endian: the low half comes first.
        private func offset(ofArgument index: Int) -> UInt32 { Self.argumentsOffset + UInt32(index) * 8 }

        mutating func finished() -> [UInt8] {
            self.emit(Self.answer, Self.allow)
            return self.instructions.flatMap { instruction in
                Self.bytes(UInt32(instruction.code), 2) + [instruction.whenTrue, instruction.whenFalse]
                    + Self.bytes(instruction.value, 4)
            }
        }

        private static func bytes(_ value: UInt32, _ count: UInt32) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
        }
    }
}
