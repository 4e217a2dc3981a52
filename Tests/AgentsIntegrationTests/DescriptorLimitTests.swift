import CLinux
import Domain
import Foundation
import Sandboxing
import Testing

@testable import Agents

/// What this process does when it, or the machine, has no descriptor, space or memory left.
@Suite("A node without descriptors or space")
struct DescriptorLimitTests {
    @Test("without descriptors a launch is refused as this node's fault, and nothing that exists counts as absent")
    func descriptors() async {
        // In a process of its own, because the limit is that of the whole process.
        await #expect(processExitsWith: .success) {
            let root = NSTemporaryDirectory() + "descriptors-\(getpid())"
            let directory = AgentDirectory(root: root, id: try JobID("0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"))
            try HostFiles.makeDirectory(root)
            try HostFiles.makeDirectory(directory.path)
            try HostFiles.makeDirectory(directory.generationPath(1))
            var limit = rlimit()
            let known = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            try #require(known == 0)
            func setLimit(_ count: UInt) {
                limit.rlim_cur = rlim_t(count)
                _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            }
            let before = UInt(limit.rlim_cur)
            // A few are free, but not as many as a launch takes.
            let free = dup(0)
            close(free)
            setLimit(UInt(free) + 4)
            let launch = #expect(throws: HostFileError.self) { try LaunchCheck.openDescriptors() }
            setLimit(UInt(free))
            let list = #expect(throws: HostFileError.self) { try directory.generations }
            let record = #expect(throws: HostFileError.self) { try directory.exitRecord(1) }
            let socket = #expect(throws: HostFileError.self) { try directory.isAlive(1) }
            let processes = #expect(throws: HostFileError.self) { try directory.hasShim(1) }
            let spec = #expect(throws: AgentError.self) { try SpecFile([1]) }
            let user = orc_user_tasks()
            setLimit(before)
            try FileManager.default.removeItem(atPath: root)
            for error in [launch, list, record, socket, processes] { #expect(error?.code == EMFILE) }
            #expect(spec?.code == .hostUnavailable)
            #expect(user == -EMFILE)
            // The launch that was refused left none of its descriptors open.
            #expect(throws: Never.self) { try LaunchCheck.openDescriptors() }
        }
    }

    @Test(
        "what this node lacks is never the job's fault, and the reason is the kernel's",
        arguments: [
            (EMFILE, "Too many open files"), (ENFILE, "Too many open files in system"),
            (ENOSPC, "No space left on device"), (EDQUOT, "Disk quota exceeded"), (EROFS, "Read-only file system"),
            (ENOMEM, "Cannot allocate memory"),
        ])
    func reasons(code: Int32, text: String) {
        let error = AgentError(HostFileError("written", "/x", code: code))
        #expect(error.code == .hostUnavailable && error.message.hasSuffix(text), "\(error.message)")
    }
}
