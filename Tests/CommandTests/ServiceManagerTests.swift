import Domain
import Foundation
import Logging
import TestSupport
import Testing

@testable import orchestra

@Suite("The service manager")
struct ServiceManagerTests {
    private func manager(_ environment: [String: String]) -> ServiceManager? {
        ServiceManager(environment: environment, processID: 7, logger: Logger(label: "test"))
    }

    @Test("without an address nothing is sent", arguments: [nil, "", "relative", "vsock:2:1234"])
    func absent(address: String?) {
        #expect(self.manager(address.map { ["NOTIFY_SOCKET": $0] } ?? [:]) == nil)
    }

    @Test(
        "a watchdog counts when it is a time and meant for this process",
        arguments: [
            (["WATCHDOG_USEC": "30000000"], Duration.seconds(30)),
            (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"], .seconds(30)),
            (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"], nil), (["WATCHDOG_USEC": "0"], nil),
            (["WATCHDOG_USEC": "-1"], nil), (["WATCHDOG_USEC": "soon"], nil), ([:], nil),
        ] as [([String: String], Duration?)])
    func watchdog(environment: [String: String], expected: Duration?) throws {
        for socket in ["/run/x", "@x"] {
            let manager = try #require(self.manager(environment.merging(["NOTIFY_SOCKET": socket]) { $1 }))
            #expect(manager.watchdog == expected)
        }
    }

    @Test("the words are one line: ready, or the first check that fails")
    func status() {
        let good = HealthCheck("a", isHealthy: true, detail: "fine")
        let bad = HealthCheck("redis", isHealthy: false, detail: "away\nREADY=1")
        #expect(ServiceManager.status([good]) == "ready")
        let words = ServiceManager.status([good, bad, bad])
        #expect(words.hasPrefix("not ready: redis: away") && !words.contains("\n"))
    }
}
