import Testing

@testable import Sandboxing

/// Runs a filter as the kernel does, on `struct seccomp_data`.
private struct FilterMachine {
    enum Verdict: Equatable {
        case allow
        case errno(UInt32)
        case kill
        case malformed
    }

    let program: [UInt8]

    private func word(_ offset: Int, _ count: Int) -> UInt32 {
        (0..<count).reversed().reduce(0) { $0 << 8 | UInt32(self.program[offset + $1]) }
    }

    func verdict(_ number: UInt32, _ arguments: [UInt64] = [], architecture: UInt32) -> Verdict {
        var accumulator: UInt32 = 0
        var place = 0
        while place * 8 < self.program.count {
            let base = place * 8
            let value = self.word(base + 4, 4)
            var isTaken = false
            switch self.word(base, 2) {
            case 0x20:
                switch value {
                case 0: accumulator = number
                case 4: accumulator = architecture
                default:
                    let index = Int(value - 16) / 8
                    let argument = index < arguments.count ? arguments[index] : 0
                    accumulator = UInt32(truncatingIfNeeded: argument)
                }
                place += 1
                continue
            case 0x54:
                accumulator &= value
                place += 1
                continue
            case 0x15: isTaken = accumulator == value
            case 0x25: isTaken = accumulator > value
            case 0x35: isTaken = accumulator >= value
            case 0x06:
                switch value & 0xFFFF_0000 {
                case 0x7FFF_0000: return .allow
                case 0x0005_0000: return .errno(value & 0xFFFF)
                default: return .kill
                }
            default: return .malformed
            }
            place += 1 + Int(self.program[base + (isTaken ? 2 : 3)])
        }
        return .malformed
    }
}

@Suite("SeccompFilter")
struct SeccompFilterTests {
    private static func verdict(
        _ name: String, _ arguments: [UInt64] = [], _ strictness: SeccompFilter.Strictness = .namespaced,
        unix: Bool = false, on architecture: SyscallTable.Architecture = .x86_64
    ) -> FilterMachine.Verdict? {
        guard let number = SyscallTable.number(name, on: architecture) else { return nil }
        let filter = SeccompFilter(strictness, allowsUnixSockets: unix, architecture: architecture)
        return FilterMachine(program: filter.program).verdict(
            number, arguments, architecture: architecture.auditNumber)
    }

    @Test(
        "a filter is whole instructions, no more than the kernel takes", arguments: SyscallTable.Architecture.allCases)
    func structure(architecture: SyscallTable.Architecture) {
        for strictness in [SeccompFilter.Strictness.namespaced, .shared] {
            let program = SeccompFilter(strictness, allowsUnixSockets: true, architecture: architecture).program
            #expect(program.count % 8 == 0 && program.count / 8 < 4096)
        }
    }

    @Test("a call of another architecture ends the process")
    func otherArchitecture() {
        let program = SeccompFilter(.namespaced, architecture: .x86_64).program
        #expect(FilterMachine(program: program).verdict(0, architecture: 0x4000_0003) == .kill)
    }

    @Test("calls of the x32 interface end the process")
    func x32() {
        let program = SeccompFilter(.namespaced, architecture: .x86_64).program
        let number: UInt32 = 0x4000_0000 + 41
        #expect(FilterMachine(program: program).verdict(number, architecture: 0xC000_003E) == .kill)
    }

    @Test("a call that is newer than the list answers as an older kernel does")
    func newer() {
        let program = SeccompFilter(.namespaced, architecture: .arm64).program
        let verdict = FilterMachine(program: program).verdict(
            SyscallTable.highest + 1, architecture: SyscallTable.Architecture.arm64.auditNumber)
        #expect(verdict == .errno(38))
    }

    @Test(
        "what changes the kernel or other processes is refused everywhere",
        arguments: SyscallTable.Architecture.allCases)
    func refused(architecture: SyscallTable.Architecture) {
        for name in ["ptrace", "mount", "unshare", "setns", "bpf", "io_uring_setup", "keyctl", "perf_event_open"] {
            for strictness in [SeccompFilter.Strictness.namespaced, .shared] {
                #expect(Self.verdict(name, [], strictness, on: architecture) == .errno(1), "\(name)")
            }
        }
    }

    @Test("a call whose flags lie in memory answers that it does not exist")
    func hiddenFlags() {
        #expect(Self.verdict("clone3") == .errno(38))
        #expect(Self.verdict("openat2") == .errno(38))
    }

    @Test("a process is made, a namespace is not")
    func clone() {
        #expect(Self.verdict("clone", [0x11]) == .allow)
        #expect(Self.verdict("clone", [0x1000_0011]) == .errno(1))
        #expect(Self.verdict("clone", [0x2_0011]) == .errno(1))
    }

    @Test("typing at the terminal is refused, also by the high half of the request")
    func terminal() {
        #expect(Self.verdict("ioctl", [0, 0x5412]) == .errno(1))
        #expect(Self.verdict("ioctl", [0, 0x1_0000_5412]) == .errno(1))
        #expect(Self.verdict("ioctl", [0, 0x5413]) == .allow)
    }

    @Test("set-id bits are refused by each call that sets a mode")
    func setIDBits() {
        #expect(Self.verdict("chmod", [0, 0o755]) == .allow)
        #expect(Self.verdict("chmod", [0, 0o4755]) == .errno(1))
        #expect(Self.verdict("fchmodat", [0, 0, 0o2755]) == .errno(1))
        #expect(Self.verdict("openat", [0, 0, 0o101, 0o4755]) == .errno(1))
        // Without a file being made the mode does not count.
        #expect(Self.verdict("openat", [0, 0, 1, 0o4755]) == .allow)
    }

    @Test("Internet sockets of known protocols are allowed in own namespaces, all others are refused")
    func internet() {
        #expect(Self.verdict("socket", [2, 1, 0]) == .allow)
        #expect(Self.verdict("socket", [10, 2, 17]) == .allow)
        #expect(Self.verdict("socket", [2, 1, 262]) == .errno(1))
        #expect(Self.verdict("socket", [16, 3, 0]) == .errno(1))
        #expect(Self.verdict("socket", [40, 1, 0]) == .errno(1))
    }

    @Test("Unix sockets are refused unless they are allowed")
    func unixRefused() {
        #expect(Self.verdict("socket", [1, 1, 0]) == .errno(1))
        #expect(Self.verdict("socket", [1, 1, 0], unix: true) == .allow)
    }

    @Test("of allowed Unix sockets only streams pass, whatever their flags: a datagram needs no connection")
    func unixStreams() {
        #expect(Self.verdict("socket", [1, 0x80801, 0], unix: true) == .allow)
        for kind: UInt64 in [2, 3, 5, 0x80002] {
            #expect(Self.verdict("socket", [1, kind, 0], unix: true) == .errno(1), "\(kind)")
        }
    }

    @Test("a pair of streams is made, one of datagrams or of another family is not")
    func pairs() {
        #expect(Self.verdict("socketpair", [1, 1, 0]) == .allow)
        #expect(Self.verdict("socketpair", [1, 5, 0]) == .allow)
        #expect(Self.verdict("socketpair", [1, 2, 0]) == .errno(1))
        #expect(Self.verdict("socketpair", [2, 1, 0]) == .errno(1))
    }

    @Test("without namespaces there are no sockets at all, also where Unix sockets are allowed")
    func shared() {
        for family: UInt64 in [1, 2, 10] {
            #expect(Self.verdict("socket", [family, 1, 0], .shared, unix: true) == .errno(1))
        }
    }

    @Test("without namespaces limits of others, and kernel objects without a path, are refused")
    func sharedObjects() {
        #expect(Self.verdict("prlimit64", [0], .shared) == .allow)
        #expect(Self.verdict("prlimit64", [77], .shared) == .errno(1))
        #expect(Self.verdict("shmget", [], .shared) == .errno(1))
        #expect(Self.verdict("shmget", [], .namespaced) == .allow)
    }

    @Test("an address space may be asked for, not made predictable")
    func personality() {
        #expect(Self.verdict("personality", [0xFFFF_FFFF]) == .allow)
        #expect(Self.verdict("personality", [0x40000]) == .errno(1))
    }

    @Test("every call of the table has a number below the highest, and no two share one")
    func table() {
        for architecture in SyscallTable.Architecture.allCases {
            let numbers = SyscallTable.names.compactMap { SyscallTable.number($0, on: architecture) }
            #expect(numbers.allSatisfy { $0 <= SyscallTable.highest })
            #expect(Set(numbers).count == numbers.count)
        }
    }
}
