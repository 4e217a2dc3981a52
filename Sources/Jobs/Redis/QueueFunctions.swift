internal import Redis

/// The queue's server-side functions.
///
/// Each function is one atomic step, so a crash cannot leave a step half done. Each takes one key, the lane's anchor, and
/// accesses only keys in the slot of that lane. Time comes from Redis.
///
/// `QueueMachine`, in the tests, makes the same decisions in Swift; the tests send the same random calls to both.
///
/// Each name contains the version of the stored data and a digest of the source text. Two builds can therefore share a
/// Redis during a rolling upgrade, and none calls functions that another build has loaded.
package struct QueueFunctions: Sendable {
    let library: RedisFunctionLibrary
    /// The common prefix of the functions' names.
    private let prefix: String

    private static let version = "6"

    /// The functions with the clock of Redis.
    package static let standard = QueueFunctions(now: "return redis_ms()")

    /// Creates the functions with another clock. `now` is the body of a Lua function that returns milliseconds since the
    /// epoch; tests pass their own.
    package init(now: String) {
        let source = Self.files.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
            .replacing("@NOW@", with: now)
        let version = Self.version + "_" + RedisFunctionLibrary.digest(of: source)
        self.prefix = "orc\(version)_"
        self.library = RedisFunctionLibrary(
            name: "orchestra_\(version)", source: source.replacing("@V@", with: version))
    }

    func name(_ function: String) -> String { self.prefix + function }

    /// `Functions/*.lua` in the order in which Redis loads them: each file uses the local functions of those before it.
    /// `ops/lib/check-lua` has the same list.
    private static let files = [
        PackageResources.common_lua, PackageResources.ready_lua, PackageResources.submission_lua,
        PackageResources.delivery_lua, PackageResources.leases_lua, PackageResources.completion_lua,
        PackageResources.intervention_lua, PackageResources.inspection_lua, PackageResources.maintenance_lua,
        PackageResources.comparison_lua, PackageResources.archive_lua,
    ]
}
