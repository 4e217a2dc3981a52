import ArgumentParser
import Domain
import Foundation
import Jobs

/// `orchestra doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Checks what a node needs on this machine, by trying it.",
        discussion: """
            Each line is ok, warn or fail with what to do. The sandbox is tried: a program inside checks every layer.
            Status 69 when a check fails.

            EXAMPLES
              orchestra doctor
              orchestra doctor --json
              orchestra doctor --capacity 100 --result-size 2000
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp(
            "Makes no checks, but prints how much memory Redis needs for so many jobs per second.", valueName: "jobs/s")
    )
    var capacity: Int?
    @Option(help: ArgumentHelp("With --capacity: the size of a job's result in bytes.", valueName: "bytes"))
    var resultSize = 200

    func run() async throws {
        try await reporting {
            if let rate = self.capacity { return try self.showCapacity(rate) }
            try Host.refuseRoot()
            let context = try self.common.context()
            var findings = await Doctor.programs()
            findings += Doctor.configuration(context)
            findings += await Doctor.redis(context)
            findings += await Doctor.workspaces(context)
            findings += await Doctor.sandbox(context)
            findings += Doctor.hashing()
            for finding in findings { show(self.output.json ? finding.json.text : finding.line) }
            if findings.contains(where: { $0.level == .fail }) {
                throw ExitCode(CommandError.Status.unavailable.rawValue)
            }
        }
    }
}

extension DoctorCommand {
    private func showCapacity(_ rate: Int) throws {
        guard (1...1_000_000).contains(rate), (0...65_536).contains(self.resultSize) else {
            throw CommandError(.usage, "expected --capacity from 1 to 1000000 and --result-size from 0 to 65536")
        }
        let limits = try self.common.context().limits()
        let plan = CapacityPlan(rate: rate, resultSize: self.resultSize, limits: limits)
        if self.output.json {
            var members = plan.items.map { JSONMember($0.name, .integer(Int64($0.bytes))) }
            members.append(JSONMember("total", .integer(Int64(plan.total))))
            members.append(JSONMember("recommended_maxmemory", .integer(Int64(plan.recommended))))
            members.append(JSONMember("audit_per_day", .integer(Int64(plan.auditPerDay))))
            return show(JSONValue.object(members).text)
        }
        func line(_ name: String, _ bytes: Int) -> String {
            String(
                format: "%@ %10.1f MiB", name.padding(toLength: 24, withPad: " ", startingAt: 0),
                Double(bytes) / 1_048_576)
        }
        for item in plan.items { show(line(item.name, item.bytes)) }
        show(line("total", plan.total))
        show(line("maxmemory of Redis", plan.recommended) + "   with half as much again for its own copies")
        show(line("audit trail per day", plan.auditPerDay) + "   in addition; nothing trims it")
    }
}
