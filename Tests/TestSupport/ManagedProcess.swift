import Foundation
import Subprocess
import Synchronization
import SystemPackage

/// A process that a test starts, kills and starts again; always dead when its scope ends.
package actor ManagedProcess {
    package struct Ended: Sendable {
        package let code: Int32
        package let signal: Int32
    }

    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]
    private let log: String
    private var task: Task<Ended, any Error>?
    /// Whether the kernel may have given the number to another process.
    private var hasEnded = true

    /// Standard output and standard error are appended to the file `log`.
    package init(_ executable: String, _ arguments: [String], environment: [String: String] = [:], log: String) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.log = log
    }

    /// The number of the process that was started last, also after its end; 0 before the first.
    package private(set) var processID: Int32 = 0

    /// Whether it was started and has not ended.
    package var isRunning: Bool { !self.hasEnded }

    package func start() async throws {
        let (executable, arguments, log) = (self.executable, self.arguments, self.log)
        let environment = programEnvironment(self.environment)
        let (pids, announce) = AsyncStream<Int32>.makeStream()
        self.hasEnded = false
        self.task = Task {
            defer {
                self.hasEnded = true
                announce.finish()
            }
            let output = try unsafe FileDescriptor.open(
                log, .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
            let errors = try unsafe FileDescriptor.open(log, .writeOnly, options: [.append])
            var options = PlatformOptions()
            options.createSession = true
            let result = try await Subprocess.run(
                .path(FilePath(executable)), arguments: Arguments(arguments), environment: .custom(environment),
                platformOptions: options, input: .none,
                output: .fileDescriptor(output, closeAfterSpawningProcess: true),
                error: .fileDescriptor(errors, closeAfterSpawningProcess: true)
            ) { execution in
                announce.yield(execution.processIdentifier.value)
            }
            switch result.terminationStatus {
            case .exited(let code): return Ended(code: code, signal: 0)
            case .signaled(let signal): return Ended(code: -1, signal: signal)
            }
        }
        for await pid in pids {
            self.processID = pid
            return
        }
        _ = try await self.task?.value
        throw TestFailure("\(executable) did not start")
    }

    /// Sends a signal; nothing once the process has ended, whose number may be another one's by then.
    package func signal(_ number: Int32) { if self.isRunning { _ = kill(self.processID, number) } }

    package func wait() async throws -> Ended {
        guard let task = self.task else { throw TestFailure("the process was not started") }
        return try await task.value
    }

    /// Ends it by SIGKILL and reaps it.
    package func kill9() async {
        self.signal(SIGKILL)
        _ = try? await self.task?.value
    }

    package var output: String {
        String(decoding: FileManager.default.contents(atPath: self.log) ?? Data(), as: UTF8.self)
    }
}

/// The environment of a program that a test starts: nothing of the caller's but where the coverage of a program goes, if
/// it is measured.
private func programEnvironment(_ more: [String: String]) -> [Environment.Key: String] {
    var variables: [Environment.Key: String] = [
        "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent",
        "SWIFT_BACKTRACE": "enable=no",
    ]
    variables["LLVM_PROFILE_FILE"] = ProcessInfo.processInfo.environment["LLVM_PROFILE_FILE"]
    for (name, value) in more { variables[Environment.Key(rawValue: name) ?? "UNUSED"] = value }
    return variables
}

/// Runs a program to its end and returns its status and outputs; past the limit it is killed and this throws.
package func runProgram(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:], input: String = "",
    within limit: Duration = .seconds(120)
) async throws -> (code: Int32, output: String, errors: String) {
    let settings = programEnvironment(environment)
    return try await withThrowingTaskGroup(of: (code: Int32, output: String, errors: String).self) { group in
        group.addTask {
            // A file and not a pipe: a program that ends before it has read a pipe would end the tests, too.
            let file = try InputFile(input)
            defer { file.close() }
            let result = try await Subprocess.run(
                .path(FilePath(executable)), arguments: Arguments(arguments), environment: .custom(settings),
                input: .fileDescriptor(file.descriptor, closeAfterSpawningProcess: false),
                output: .string(limit: 16 * 1024 * 1024), error: .string(limit: 1024 * 1024))
            guard case .exited(let code) = result.terminationStatus else {
                return (-1, result.standardOutput, result.standardError)
            }
            return (code, result.standardOutput, result.standardError)
        }
        group.addTask {
            try await ContinuousClock().sleep(for: limit)
            throw TestFailure("\(executable) \(arguments.joined(separator: " ")) did not end within \(limit)")
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw TestFailure("nothing was run") }
        return first
    }
}

/// Text as a file that has no name any more.
private struct InputFile {
    let descriptor: FileDescriptor

    init(_ text: String) throws {
        let path = NSTemporaryDirectory() + "/orchestra-input-\(UUID().uuidString)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        self.descriptor = try FileDescriptor.open(FilePath(path), .readOnly)
    }

    func close() { try? self.descriptor.close() }
}
