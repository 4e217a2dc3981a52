internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// Shows a running agent's terminal in another pane, for when the tmux server of its first one died.
enum Viewer {
    /// Prints the log from the last 64 KiB on and follows until the program has ended.
    static func run(directory: String) -> Int32 {
        guard let bytes = POSIX.wholeFile("\(directory)/\(ShimFiles.launch)"),
            let spec = try? LaunchSpec(decoding: bytes)
        else {
            report("the launch file of \(directory) cannot be read")
            return 66
        }
        let socket = unsafe orc_connect_unix("\(directory)/\(ShimFiles.socket)")
        guard socket >= 0 else {
            report("the agent's shim does not answer: errno \(-socket)")
            return 69
        }
        _ = orc_make_raw(STDIN_FILENO)
        guard POSIX.writeAll(socket, ShimFrame.hello(token: spec.token, epoch: 0).encoded) else { return 69 }
        var buffer: [UInt8] = []
        while case .bytes(let more) = POSIX.read(socket) {
            buffer += more
            do {
                while let frame = try ShimFrame.next(from: &buffer) {
                    if let status = self.show(frame, socket: socket) { return status }
                }
            } catch {
                report(error.message)
                return 70
            }
        }
        return 0
    }

    /// The exit status once there is nothing more to show.
    private static func show(_ frame: ShimFrame, socket: Int32) -> Int32? {
        switch frame {
        case .welcome(_, let length):
            let offset = length > 65536 ? length - 65536 : 0
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
