internal import CLinux
internal import Glibc

/// System calls that a shell cannot make, for the battery of escape attempts: run inside a sandbox, where any program
/// could make them as well. Each prints what it got; whether that was an escape is judged outside.
enum Attempt {
    /// Returns 0 when the kernel let the call through, 1 when it refused it.
    static func run(_ arguments: [String]) -> Int32 {
        let (name, rest) = (arguments.first ?? "", Array(arguments.dropFirst()))
        let number = { (index: Int) -> Int in index < rest.count ? Int(rest[index]) ?? 0 : 0 }
        let text = { (index: Int) -> String in index < rest.count ? rest[index] : "" }
        switch name {
        case "call":
            return self.answer(orc_syscall(number(0), number(1), number(2), number(3), number(4), number(5), 0))
        case "unix": return self.connect(self.unixAddress(text(0), isAbstract: false), AF_UNIX, 1, text(1))
        case "abstract": return self.connect(self.unixAddress(text(0), isAbstract: true), AF_UNIX, 1, text(1))
        case "pair": return self.sendFromPair(self.unixAddress(text(0), isAbstract: false), text(1))
        case "tcp": return self.connect(self.internetAddress(number(0)), AF_INET, 1, text(1))
        case "udp": return self.connect(self.internetAddress(number(0)), AF_INET, 2, text(1))
        case "fast-open": return self.fastOpen(self.internetAddress(number(0)), text(1))
        case "type": return self.type(text(0), request: number(1))
        case "read-memory": return self.readMemory(of: number(0), at: number(1))
        case "shared-memory": return self.readSharedMemory(Int32(clamping: number(0)))
        case "key": return self.readKey(text(0))
        default:
            report("there is no attempt '\(name)'")
            return 64
        }
    }

    private static func answer(_ result: Int) -> Int32 {
        _ = POSIX.writeAll(STDOUT_FILENO, Array("answer \(result)\n".utf8))
        return result >= 0 ? 0 : 1
    }

    // MARK: - Sockets

    private static func unixAddress(_ name: String, isAbstract: Bool) -> [UInt8] {
        [UInt8(AF_UNIX), 0] + (isAbstract ? [0] + Array(name.utf8) : Array(name.utf8) + [0])
    }

    /// 127.0.0.1 and the port.
    private static func internetAddress(_ port: Int) -> [UInt8] {
        [UInt8(AF_INET), 0, UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port), 127, 0, 0, 1]
            + [UInt8](repeating: 0, count: 8)
    }

    private static func connect(_ address: [UInt8], _ family: Int32, _ kind: Int32, _ words: String) -> Int32 {
        let fd = socket(family, kind, 0)
        guard fd >= 0 else { return self.answer(-Int(errno)) }
        defer { close(fd) }
        let result = unsafe address.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return Int32(-1) }
            return unsafe Glibc.connect(fd, start.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        guard result == 0 else { return self.answer(-Int(errno)) }
        return self.answer(POSIX.writeAll(fd, Array(words.utf8)) ? 0 : -Int(errno))
    }

    private static func send(_ fd: Int32, _ words: String, _ flags: Int32, to address: [UInt8]) -> Int32 {
        let bytes = Array(words.utf8)
        let sent = unsafe address.withUnsafeBytes { address in
            guard let start = address.baseAddress else { return -1 }
            return unsafe sendto(
                fd, bytes, bytes.count, flags, start.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
        }
        return self.answer(sent >= 0 ? 0 : -Int(errno))
    }

    private static func sendFromPair(_ address: [UInt8], _ words: String) -> Int32 {
        var ends: [Int32] = [0, 0]
        guard unsafe socketpair(AF_UNIX, 2, 0, &ends) == 0 else { return self.answer(-Int(errno)) }
        return self.send(ends[0], words, 0, to: address)
    }

    private static func fastOpen(_ address: [UInt8], _ words: String) -> Int32 {
        let fd = socket(AF_INET, 1, 0)
        guard fd >= 0 else { return self.answer(-Int(errno)) }
        return self.send(fd, words, 0x2000_0000, to: address)
    }

    // MARK: - Terminals, memory, keys

    /// Puts characters into the terminal's own input.
    private static func type(_ words: String, request: Int) -> Int32 {
        for var byte in Array(words.utf8) + [10] {
            let result = unsafe withUnsafePointer(to: &byte) { pointer in
                unsafe orc_syscall_with(self.ioctl, pointer, 2, 0, request, 0, 0, 0, 0)
            }
            if result < 0 { return self.answer(result) }
        }
        return self.answer(0)
    }

    private static func readMemory(of process: Int, at address: Int) -> Int32 {
        var found = [UInt8](repeating: 0, count: 64)
        let result = unsafe orc_read_memory(pid_t(clamping: process), UInt(clamping: address), &found, found.count)
        if result > 0 { _ = POSIX.writeAll(STDOUT_FILENO, found) }
        return self.answer(Int(result))
    }

    private static func readSharedMemory(_ id: Int32) -> Int32 {
        guard let memory = unsafe shmat(id, nil, Int32(SHM_RDONLY)), Int(bitPattern: memory) != -1 else {
            return self.answer(-Int(errno))
        }
        _ = unsafe write(STDOUT_FILENO, memory, 64)
        return self.answer(0)
    }

    /// Reads a key of the user's keyring by its description.
    private static func readKey(_ description: String) -> Int32 {
        // KEYCTL_SEARCH in KEY_SPEC_USER_KEYRING, then KEYCTL_READ.
        let key = unsafe description.withCString { name in
            unsafe "user".withCString { kind in
                unsafe orc_syscall_with(self.keyctl, kind, 2, 10, -4, 0, Int(bitPattern: name), 0, 0)
            }
        }
        guard key >= 0 else { return self.answer(key) }
        var payload = [UInt8](repeating: 0, count: 128)
        let count = payload.count
        let read = unsafe payload.withUnsafeMutableBytes { buffer in
            unsafe orc_syscall_with(self.keyctl, buffer.baseAddress, 2, 11, key, 0, count, 0, 0)
        }
        if read > 0 { _ = POSIX.writeAll(STDOUT_FILENO, Array(payload.prefix(read))) }
        return self.answer(read)
    }

    #if arch(x86_64)
        private static let ioctl = 16
        private static let keyctl = 250
    #else
        private static let ioctl = 29
        private static let keyctl = 219
    #endif
}
