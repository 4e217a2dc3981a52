internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// How a session begins.
extension TerminalSession {
    /// Starts the program that the launch file in the directory describes. Nil when that fails: the reason is printed, and
    /// is in the exit record where the launch file could be read.
    static func start(directory: String) -> TerminalSession? {
        let spec: LaunchSpec
        let path = "\(directory)/\(ShimFiles.launch)"
        switch LaunchFile.decode(POSIX.wholeFile(path), named: path, for: .terminal) {
        case .success(let read): spec = read
        case .failure(let error):
            report(error.message)
            return nil
        }
        switch self.start(spec, in: directory) {
        case .success(let session): return session
        case .failure(let error):
            report(error.message)
            let record = ExitRecord(
                endedBy: .hostFailed, code: -1, signal: 0, errorOutput: Array(error.message.utf8))
            if !POSIX.replaceFile("\(directory)/\(ShimFiles.exit)", with: record.encoded) {
                report("the exit record cannot be written: errno \(errno)")
            }
            return nil
        }
    }

    private static func start(_ spec: LaunchSpec, in directory: String) -> Result<TerminalSession, DomainError> {
        func failure(_ reason: String) -> Result<TerminalSession, DomainError> { .failure(.invalidValue(reason)) }
        var spec = spec
        if spec.lacksSecrets {
            guard let secrets = self.secrets(in: directory) else { return failure("the node did not pass the secrets") }
            spec.secrets = secrets
        }
        guard Launcher.becomeReaper() else { return failure("orphans cannot be adopted: errno \(errno)") }
        let signals = orc_signal_descriptor()
        guard signals >= 0 else { return failure("signals cannot be read: errno \(-signals)") }
        let start = orc_monotonic_milliseconds()
        guard
            let recorder = Recorder(
                directory: directory, start: start, ringQuota: spec.keepsNewestLog ? spec.logQuota : nil)
        else { return failure("the log cannot be opened: errno \(errno)") }
        let eventFile = POSIX.openLog("\(directory)/\(ShimFiles.events)")
        guard eventFile >= 0, let events = POSIX.pipe() else {
            return failure("the pipe for events cannot be created: errno \(errno)")
        }
        _ = orc_set_nonblocking(events.reader)
        let master = orc_pty_open(spec.columns, spec.rows)
        guard master >= 0 else { return failure("no terminal can be opened: errno \(-master)") }
        let listener = unsafe orc_listen_unix("\(directory)/\(ShimFiles.socket)")
        guard listener >= 0 else { return failure("the socket cannot be created: errno \(-listener)") }
        switch Launcher.start(spec, pty: master, stdio: [-1, -1, -1, events.writer]) {
        case .failure(let error): return .failure(error)
        case .success(let launcher):
            close(events.writer)
            spec.secrets = []
            _ = orc_set_nonblocking(STDOUT_FILENO)
            _ = orc_set_nonblocking(STDIN_FILENO)
            _ = orc_make_raw(STDIN_FILENO)
            return .success(
                TerminalSession(
                    spec: spec, directory: directory,
                    descriptors: Descriptors(
                        master: master, listener: listener, signals: signals, eventPipe: events.reader,
                        eventFile: eventFile, paneInput: STDIN_FILENO, paneOutput: STDOUT_FILENO),
                    recorder: recorder,
                    program: ProgramRun(
                        tree: launcher, isTerminal: true, stopGrace: spec.stopGrace, egress: spec.egress)))
        }
    }

    /// Reads the secrets from the node's pipe; nil when they did not come within ten seconds.
    private static func secrets(in directory: String) -> [LaunchSpec.Secret]? {
        let pipe = unsafe open("\(directory)/\(ShimFiles.secrets)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard pipe >= 0 else { return nil }
        defer { close(pipe) }
        var bytes: [UInt8] = []
        let deadline = orc_monotonic_milliseconds() + 10_000
        while orc_monotonic_milliseconds() < deadline {
            // Until the node opens its end there is nothing to wait for, and an end of file is not the end.
            let events = POSIX.poll([(pipe, POSIX.readable)], milliseconds: 5)
            guard events[0] & POSIX.readable != 0, case .bytes(let more) = POSIX.read(pipe) else {
                if let secrets = self.secrets(decoding: bytes) { return secrets }
                if events[0] != 0 { _ = POSIX.poll([], milliseconds: 2) }
                continue
            }
            bytes += more
        }
        return nil
    }

    /// Nil while the bytes are not complete.
    private static func secrets(decoding bytes: [UInt8]) -> [LaunchSpec.Secret]? {
        do throws(DomainError) {
            let secrets = try LaunchSpec.Secret.list(decoding: bytes)
            return secrets.isEmpty ? nil : secrets
        } catch {
            return nil
        }
    }
}
