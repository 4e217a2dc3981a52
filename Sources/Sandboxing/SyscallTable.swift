/// The numbers of the system calls that the filter speaks of, as the kernel's headers give them for each architecture
/// (`asm/unistd_64.h`, `asm-generic/unistd.h`). A call that an architecture does not have is nil.
struct SyscallTable {
    enum Architecture: String, CaseIterable {
        case x86_64
        case arm64

        /// `AUDIT_ARCH_…` of `linux/audit.h`.
        var auditNumber: UInt32 {
            switch self {
            case .x86_64: 0xC000_003E
            case .arm64: 0xC000_00B7
            }
        }

        static var current: Architecture? {
            #if arch(x86_64)
                .x86_64
            #elseif arch(arm64)
                .arm64
            #else
                nil
            #endif
        }
    }

    /// The highest call that this file was made with, `mseal` of Linux 6.10. What came later is as unknown to the
    /// sandbox as it was to us.
    static let highest: UInt32 = 462

    private static let numbers: [String: (x86_64: UInt32?, arm64: UInt32?)] = [
        "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
        "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
        "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
        "mount_setattr": (442, 442), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
        "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "statmount": (457, 457),
        "listmount": (458, 458), "unshare": (272, 97), "setns": (308, 268), "clone": (56, 220), "clone3": (435, 435),
        "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
        "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "kexec_load": (246, 104),
        "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
        "delete_module": (176, 106), "create_module": (174, nil), "query_module": (178, nil),
        "get_kernel_syms": (177, nil), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225),
        "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, nil),
        "ioperm": (173, nil), "quotactl": (179, 60), "quotactl_fd": (443, 443), "nfsservctl": (180, 42),
        "syslog": (103, 116), "settimeofday": (164, 170), "adjtimex": (159, 171), "clock_settime": (227, 112),
        "clock_adjtime": (305, 266), "vhangup": (153, 58), "modify_ldt": (154, nil), "uselib": (134, nil),
        "ustat": (136, nil), "sysfs": (139, nil), "_sysctl": (156, nil), "lookup_dcookie": (212, 18),
        "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
        "fanotify_mark": (301, 263), "move_pages": (279, 239), "migrate_pages": (256, 238), "mbind": (237, 235),
        "set_mempolicy_home_node": (450, 450), "remap_file_pages": (216, 234), "memfd_secret": (447, 447),
        "openat2": (437, 437), "personality": (135, 92), "ioctl": (16, 29), "socket": (41, 198),
        "socketpair": (53, 199), "chmod": (90, nil), "fchmod": (91, 52), "fchmodat": (268, 53),
        "fchmodat2": (452, 452), "open": (2, nil), "openat": (257, 56), "creat": (85, nil), "mknod": (133, nil),
        "mknodat": (259, 33), "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
        "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189),
        "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
        "chown": (92, nil), "fchown": (93, 55), "lchown": (94, nil), "fchownat": (260, 54), "setxattr": (188, 5),
        "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
        "fremovexattr": (199, 16), "kill": (62, 129), "prlimit64": (302, 261), "setpriority": (141, 140),
        "ioprio_set": (251, 30), "sched_setscheduler": (144, 119),
        "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    ]

    static func number(_ name: String, on architecture: Architecture) -> UInt32? {
        switch architecture {
        case .x86_64: self.numbers[name]?.x86_64
        case .arm64: self.numbers[name]?.arm64
        }
    }

    static var names: [String] { self.numbers.keys.sorted() }
}
