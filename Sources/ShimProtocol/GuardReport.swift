/// What the guard reports to the shim by a descriptor that the program never has: whether the program was started, and
/// how it ended. What a program prints or returns cannot be mistaken for it.
package struct GuardReport: Hashable, Sendable {
    /// The program was started or may have been, or the guard's own look at the layers was printed.
    package private(set) var hasStarted = false
    /// The launch was refused for a reason that lies in the workspace or the launch, not in the host.
    package private(set) var isLaunchAtFault = false
    /// The wait status of the program, nil while it runs and when the guard ended first.
    package private(set) var waitStatus: Int32?
    /// The ports of the listeners that the guard has passed on, in the order of their descriptors.
    package private(set) var listeners: [UInt16] = []
    private var pending: [UInt8] = []

    /// Starts with nothing reported.
    package init() {}

    private static let started: UInt8 = 1
    private static let refused: UInt8 = 2
    private static let ended: UInt8 = 3
    private static let listener: UInt8 = 4
    private static let notStarted: UInt8 = 5

    /// Sent before the program is started: one that ends its guard at once has run all the same.
    package static let startedMessage: [UInt8] = [Self.started]
    /// Takes `startedMessage` back: the start failed for want of something of the host's.
    package static let notStartedMessage: [UInt8] = [Self.notStarted]
    package static let refusedMessage: [UInt8] = [Self.refused]

    /// Returns the message that reports the program's wait status: its kind and 4 bytes in little-endian order.
    package static func endedMessage(_ status: Int32) -> [UInt8] {
        let bits = UInt32(bitPattern: status)
        return [Self.ended] + (0..<4).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
    }

    /// Returns the message that goes with the descriptor of a listener: its kind and the port in big-endian order.
    package static func listenerMessage(_ port: UInt16) -> [UInt8] {
        [Self.listener, UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
    }

    /// Takes bytes as they come; what is not a message ends the reading.
    package mutating func take(_ bytes: [UInt8]) {
        self.pending += bytes
        while let kind = self.pending.first {
            switch kind {
            case Self.started:
                self.hasStarted = true
                self.pending.removeFirst()
            case Self.notStarted:
                self.hasStarted = false
                self.pending.removeFirst()
            case Self.refused:
                self.isLaunchAtFault = true
                self.pending.removeFirst()
            case Self.ended:
                guard self.pending.count >= 5 else { return }
                let bits = self.pending[1...4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                self.waitStatus = Int32(bitPattern: bits)
                self.pending.removeFirst(5)
            case Self.listener:
                guard self.pending.count >= 3 else { return }
                self.listeners.append(UInt16(self.pending[1]) << 8 | UInt16(self.pending[2]))
                self.pending.removeFirst(3)
            default:
                self.pending = []
            }
        }
    }

    /// The signal that ended the program, 0 when none did, nil when nothing was reported.
    package var signal: Int32? { self.waitStatus.map { $0 & 0x7F } }

    /// The program's status as shells report it: its own, or 128 and the signal; nil when nothing was reported.
    package var code: Int32? {
        self.waitStatus.map { $0 & 0x7F == 0 ? ($0 >> 8) & 0xFF : 128 + ($0 & 0x7F) }
    }
}
