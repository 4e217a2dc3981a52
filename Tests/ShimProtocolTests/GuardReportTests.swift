import ShimProtocol
import Testing

@Suite("GuardReport")
struct GuardReportTests {
    @Test("nothing reported means that nothing started")
    func empty() {
        let report = GuardReport()
        #expect(!report.hasStarted && report.code == nil && report.signal == nil && !report.isLaunchAtFault)
    }

    @Test("an exit status is the program's own, also above 128", arguments: [0, 1, 129, 255] as [Int32])
    func status(code: Int32) {
        var report = GuardReport()
        report.take(GuardReport.startedMessage + GuardReport.endedMessage(code << 8))
        #expect(report.hasStarted && report.code == code && report.signal == 0)
    }

    @Test("a signal is distinguished from a status", arguments: [9, 11, 15, 64] as [Int32])
    func signal(number: Int32) {
        var report = GuardReport()
        report.take(GuardReport.startedMessage + GuardReport.endedMessage(number))
        #expect(report.code == 128 + number && report.signal == number)
    }

    @Test("a program that dumped core was ended by its signal")
    func core() {
        var report = GuardReport()
        report.take(GuardReport.endedMessage(11 | 0x80))
        #expect(report.signal == 11)
    }

    @Test("messages are read over every cut")
    func cuts() {
        let bytes = GuardReport.startedMessage + GuardReport.endedMessage(7 << 8)
        for cut in 0...bytes.count {
            var report = GuardReport()
            report.take(Array(bytes[..<cut]))
            report.take(Array(bytes[cut...]))
            #expect(report.hasStarted && report.code == 7)
        }
    }

    @Test("a refusal that lies in the launch is not the host's")
    func refused() {
        var report = GuardReport()
        report.take(GuardReport.refusedMessage)
        #expect(report.isLaunchAtFault && !report.hasStarted)
    }

    @Test("a start that failed for want of something of the host's is taken back")
    func takenBack() {
        var report = GuardReport()
        report.take(GuardReport.startedMessage + GuardReport.notStartedMessage)
        #expect(!report.hasStarted && !report.isLaunchAtFault)
        report.take(GuardReport.refusedMessage)
        #expect(!report.hasStarted && report.isLaunchAtFault)
    }
}
