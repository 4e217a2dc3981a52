import Domain
import Foundation

/// What `orchestra dev` leaves for client commands: the file with which they reach its node.
struct DevNode: Sendable {
    /// The state directory of `dev`: below the one that the user's settings name.
    let directory: String

    /// `base` is the state directory that the settings name.
    init(base: String) { self.directory = base + "/dev" }

    /// The settings with which a client reaches the node: mode 0600, because the master key is one of them.
    var configurationFile: String { self.directory + "/config.json" }

    /// True when a client command has no configuration of its own: no file, no Redis and no master key from the user, and
    /// not production. A command that runs a node never asks.
    static func mayServe(_ settings: Settings) -> Bool {
        !settings.isProduction
            && settings.layers.allSatisfy { !$0.name.hasPrefix(Settings.fileLayer) }
            && ["redis.url", "master-key"].allSatisfy { ["default", "unset"].contains(settings.source(of: $0)) }
    }
}
