import Domain
import Foundation

/// One line of the report of `orchestra doctor`.
struct Finding: Sendable {
    /// How serious it is.
    enum Level: String, Sendable {
        case ok
        case warn
        case fail
    }

    let level: Level
    let name: String
    let detail: String

    /// The line for people.
    var line: String {
        "\(self.level.rawValue.padding(toLength: 5, withPad: " ", startingAt: 0)) \(self.name.padding(toLength: 26, withPad: " ", startingAt: 0)) \(self.detail)"
    }

    /// The line for programs.
    var json: JSONValue {
        ["check": .string(self.name), "level": .string(self.level.rawValue), "detail": .string(self.detail)]
    }
}
