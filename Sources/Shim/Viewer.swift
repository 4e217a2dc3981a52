internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// Shows a running agent's terminal in another pane, after the tmux server of its first one died.
enum Viewer {
    /// Bytes of the log that are shown from before.
    private static let history: UInt64 = 64 * 1024

    /// Prints the log from the last 64 KiB on until the program has ended; the exit status.
    static func run(directory: String) -> Int32 {
        guard let token = self.token(in: directory) else { return 66 }
        let socket = unsafe orc_connect_unix("\(directory)/\(ShimFiles.socket)")
        guard socket >= 0 else {
            report("the agent's shim does not answer: errno \(-socket)")
            return 69
        }
        _ = orc_make_raw(STDIN_FILENO)
        guard POSIX.writeAll(socket, ShimFrame.hello(token: token, epoch: 0).encoded) else { return 69 }
        var (buffer, isInputOpen) = ([UInt8](), true)
        while true {
            let events = POSIX.poll(
                [(socket, POSIX.readable), (isInputOpen ? STDIN_FILENO : -1, POSIX.readable)], milliseconds: -1)
            // tmux's answers to queries of the program, which the agent's shim has answered.
            if events[1] != 0, case .end = POSIX.read(STDIN_FILENO) { isInputOpen = false }
            guard events[0] != 0 else { continue }
            guard case .bytes(let more) = POSIX.read(socket) else { return 0 }
            buffer += more
            if let status = self.show(&buffer, socket: socket) { return status }
        }
    }

    /// The token of the launch file; nil, with the reason printed, when it cannot be read.
    private static func token(in directory: String) -> [UInt8]? {
        guard let bytes = POSIX.wholeFile("\(directory)/\(ShimFiles.launch)") else {
            report("the launch file of \(directory) cannot be read: errno \(errno)")
            return nil
        }
        do throws(DomainError) {
            return try LaunchSpec(decoding: bytes).token
        } catch {
            report(error.message)
            return nil
        }
    }

    /// Shows the whole frames of the buffer; the exit status once there is nothing more to show.
    private static func show(_ buffer: inout [UInt8], socket: Int32) -> Int32? {
        do throws(DomainError) {
            while let frame = try ShimFrame.next(from: &buffer) {
                if let status = self.show(frame, socket: socket) { return status }
            }
            return nil
        } catch {
            report(error.message)
            return 70
        }
    }

    private static func show(_ frame: ShimFrame, socket: Int32) -> Int32? {
        switch frame {
        case .welcome(_, let length):
            let offset = length - min(length, self.history)
            return POSIX.writeAll(socket, ShimFrame.watch(offset: offset).encoded) ? nil : 69
        case .output(_, let bytes): return POSIX.writeAll(STDOUT_FILENO, bytes) ? nil : 0
        case .exited: return 0
        case .refused(let reason):
            report(reason)
            return 77
        default: return nil
        }
    }
}
