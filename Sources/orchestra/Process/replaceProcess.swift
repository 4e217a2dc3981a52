import CLinux
import Foundation
import ShimProtocol

/// Replaces this process by another program; returns only the error's number.
func replaceProcess(_ path: String, arguments: [String], environment: [String: String]) -> Int32 {
    unsafe withCStrings(arguments) { argv in
        unsafe withCStrings(environment.map { "\($0.key)=\($0.value)" }) { unsafe -orc_exec(path, argv, $0) }
    }
}

/// Starts this very command again without Swift's crash reporter, unless its setting was chosen: the
/// report prints registers with the memory they point to, which may hold anything that must not be logged.
func withoutCrashReports() {
    var environment = ProcessInfo.processInfo.environment
    guard environment["SWIFT_BACKTRACE"] == nil else { return }
    environment["SWIFT_BACKTRACE"] = "enable=no"
    // When it fails the command goes on as it is: that is no reason not to work.
    _ = replaceProcess("/proc/self/exe", arguments: CommandLine.arguments, environment: environment)
}
