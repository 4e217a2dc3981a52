import CLinux
import Domain
import Logging

/// The service manager that started the node, such as systemd, which receives the node's state (sd_notify(3)). Nothing is
/// sent where none asks for it by NOTIFY_SOCKET.
struct ServiceManager: Sendable {
    private let socket: String
    /// The longest silence after which the manager restarts the node (WatchdogSec=); nil when there is none.
    let watchdog: Duration?
    private let logger: Logger

    /// How long words about the node's state may be out of date.
    private static let interval = Duration.seconds(5)
    private static let readyCheck = Duration.milliseconds(100)
    /// Bytes of the words about a state.
    private static let statusLimit = 200

    /// Reads the variables that a manager sets; nil when it wants no reports. An address that is neither a path nor an
    /// abstract name is ignored, and so is a watchdog that is meant for another process.
    init?(environment: [String: String], processID: Int32, logger: Logger) {
        guard let socket = environment["NOTIFY_SOCKET"], socket.hasPrefix("/") || socket.hasPrefix("@") else {
            return nil
        }
        self.socket = socket
        self.logger = logger
        let isMeant = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        self.watchdog = environment["WATCHDOG_USEC"].flatMap { Int64($0) }
            .flatMap { isMeant && $0 > 0 ? .microseconds($0) : nil }
    }

    /// Reports until the task is cancelled: that the node has joined, once; its readiness in words when that changes; and
    /// that its supervisors respond, at least twice in the watchdog's time.
    func watch(_ node: any HealthSource) async throws {
        self.send("STATUS=waiting for Redis")
        while await !node.startup().allSatisfy(\.isHealthy) {
            try await ContinuousClock().sleep(for: Self.readyCheck)
        }
        self.send("READY=1")
        var last = ""
        while true {
            // Does not return when a supervisor hangs, and then the manager restarts the node.
            _ = await node.liveness()
            if self.watchdog != nil { self.send("WATCHDOG=1") }
            let status = Self.status(await node.readiness())
            if status != last { self.send("STATUS=\(status)") }
            last = status
            try await ContinuousClock().sleep(for: min(Self.interval, (self.watchdog ?? Self.interval) / 3))
        }
    }

    /// Reports that the node has begun to stop.
    func stopping() { self.send("STOPPING=1\nSTATUS=stopping") }

    /// One line about the node: the first check that fails, or that it is ready.
    static func status(_ checks: [HealthCheck]) -> String {
        guard let failed = checks.first(where: { !$0.isHealthy }) else { return "ready" }
        return Printable.text("not ready: \(failed.name): \(failed.detail)", limit: Self.statusLimit)
    }

    private func send(_ words: String) {
        let bytes = Array(words.utf8)
        let result = unsafe orc_send_datagram(self.socket, bytes, bytes.count)
        if result < 0 {
            self.logger.warning(
                "the state could not be sent to the service manager", metadata: ["reason": "\(Host.reason(-result))"])
        }
    }
}
