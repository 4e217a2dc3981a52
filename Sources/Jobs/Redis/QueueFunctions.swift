internal import Redis

/// The queue's server-side functions. Each is atomic, so that no crash can fall between its steps; each
/// takes one key, the lane's anchor, and touches only keys of that lane's slot. Time is Redis' own.
///
/// What they decide is `QueueMachine`'s in Swift too; the tests drive both through the same random sequences.
///
/// Every name carries the version of what lies in Redis and a digest of the functions' own text. So two builds can share
/// a Redis while nodes are replaced, and none ever calls functions that another one loaded under its name.
package struct QueueFunctions: Sendable {
    let library: RedisFunctionLibrary
    /// What each function's name begins with.
    private let prefix: String

    private static let version = "4"

    /// With Redis' own clock.
    package static let standard = QueueFunctions(now: "return redis_ms()")

    /// `now` is the body of a Lua function that returns milliseconds since the epoch; tests give one of their own.
    package init(now: String) {
        let source = Self.files.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
            .replacing("@NOW@", with: now)
        let version = Self.version + "_" + RedisFunctionLibrary.digest(of: source)
        self.prefix = "orc\(version)_"
        self.library = RedisFunctionLibrary(
            name: "orchestra_\(version)", source: source.replacing("@V@", with: version))
    }

    func name(_ function: String) -> String { self.prefix + function }

    /// `Functions/*.lua`, in the order in which the server reads them: each uses the local functions of those before it.
    private static let files = [
        PackageResources.common_lua, PackageResources.submission_lua, PackageResources.delivery_lua,
        PackageResources.completion_lua, PackageResources.intervention_lua, PackageResources.inspection_lua,
    ]
}
