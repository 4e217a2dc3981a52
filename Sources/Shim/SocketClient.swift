internal import Domain
internal import Glibc
internal import ShimProtocol

/// One connection to the shim's socket.
struct SocketClient {
    enum Role: Equatable {
        /// Has not sent the token yet.
        case stranger
        case owner
        /// Has sent the token, and neither owns the agent nor keeps it alive.
        case viewer
    }

    let fd: Int32
    /// When it connected.
    let since: UInt64
    var role = Role.stranger
    /// Where in the log this connection reads next, nil when it does not watch.
    var watchOffset: UInt64?
    /// The number of the last event that was sent; nil when the connection does not follow.
    var lastEvent: UInt64?
    /// Set once the exit record was sent.
    var hasExitRecord = false
    private(set) var inbound: [UInt8] = []
    private(set) var outbound: [UInt8] = []
    private(set) var isGone = false

    /// Bytes that may wait for a reader; a slower watcher gets its bytes from the log later.
    static let outboundLimit = 256 * 1024
    private static let inboundLimit = ShimFrame.payloadLimit + 4

    init(fd: Int32, since: UInt64) {
        self.fd = fd
        self.since = since
    }

    var wantsToWrite: Bool { !self.outbound.isEmpty }

    /// Queues a frame; a connection that does not read is closed when too much waits for it.
    mutating func send(_ frame: ShimFrame) {
        let bytes = frame.encoded
        guard self.outbound.count + bytes.count <= Self.outboundLimit * 4 else {
            self.isGone = true
            return
        }
        self.outbound += bytes
    }

    /// Writes what the connection takes now.
    mutating func flush() {
        while !self.outbound.isEmpty {
            guard let count = POSIX.write(self.fd, self.outbound[...]) else {
                self.isGone = true
                return
            }
            if count == 0 { return }
            self.outbound.removeFirst(count)
        }
    }

    /// Reads what has arrived and returns the complete frames.
    mutating func receive() -> [ShimFrame] {
        var frames: [ShimFrame] = []
        while self.inbound.count < Self.inboundLimit {
            switch POSIX.read(self.fd) {
            case .bytes(let bytes): self.inbound += bytes
            case .wouldBlock: return frames + self.takeFrames()
            case .end:
                frames += self.takeFrames()
                self.isGone = true
                return frames
            }
            frames += self.takeFrames()
        }
        return frames
    }

    private mutating func takeFrames() -> [ShimFrame] {
        var frames: [ShimFrame] = []
        do {
            while let frame = try ShimFrame.next(from: &self.inbound) { frames.append(frame) }
        } catch {
            self.outbound += ShimFrame.refused(reason: error.message).encoded
            self.flush()
            self.isGone = true
        }
        return frames
    }

    /// Marks the connection to be closed.
    mutating func drop() { self.isGone = true }
}
