internal import CLinux
internal import Glibc
internal import ShimProtocol

/// Keeps the listener of a sandbox for the life of its launch and hands it to the egress server, again each time that the
/// server's process is replaced. Never waits and never ends the program: without a server connections wait in the
/// listener's queue.
struct ListenerHandover {
    private let egress: LaunchSpec.Egress?
    private var listener: Int32 = -1
    /// The connection to the server; its end says that the server is gone.
    private var connection: Int32 = -1
    private var nextAttempt: UInt64 = 0

    /// Milliseconds between two attempts to reach the server.
    static let interval: UInt64 = 200

    /// Without `egress` there is nothing to hand over.
    init(_ egress: LaunchSpec.Egress?) { self.egress = egress }

    /// Whether the guard's listener is still to come.
    var needsListener: Bool { self.egress != nil && self.listener < 0 }

    /// What to poll for `POSIX.readable`; -1 when there is nothing to wait for.
    var pollDescriptor: Int32 { self.connection }

    /// The longest wait until the next `turn`, in milliseconds, where the session itself would wait for `usual`.
    func wait(_ usual: Int32) -> Int32 {
        self.egress != nil && self.connection < 0 ? min(usual, Int32(Self.interval)) : usual
    }

    /// Takes the listener that the guard has made.
    mutating func take(_ listener: Int32) {
        guard self.needsListener else {
            close(listener)
            return
        }
        self.listener = listener
    }

    /// Sees whether the server is gone, and hands the listener over when it is time to.
    mutating func turn(_ now: UInt64) {
        guard let egress = self.egress, self.listener >= 0 else { return }
        if self.connection >= 0 {
            // The server sends nothing: what can be read is the end.
            guard POSIX.poll([(self.connection, POSIX.readable)], milliseconds: 0)[0] != 0 else { return }
            if case .wouldBlock = POSIX.read(self.connection, limit: 64) { return }
            self.disconnect(until: now + Self.interval)
        }
        guard now >= self.nextAttempt else { return }
        self.nextAttempt = now + Self.interval
        let connection = unsafe orc_connect_unix_at_once(egress.socket)
        guard connection >= 0 else { return }
        let sent = unsafe orc_send_descriptor(connection, egress.hello, egress.hello.count, self.listener)
        // A new stream takes so few bytes at once.
        guard sent == Int32(egress.hello.count) else {
            close(connection)
            return
        }
        self.connection = connection
    }

    /// Ends the handover after the program: the server then closes its connections.
    mutating func end() {
        self.disconnect(until: .max)
        if self.listener >= 0 { close(self.listener) }
        self.listener = -1
    }

    private mutating func disconnect(until next: UInt64) {
        if self.connection >= 0 { close(self.connection) }
        self.connection = -1
        self.nextAttempt = next
    }
}
