import Domain
import EgressServer
import Policy
import Sandboxing

extension Context {
    /// The socket to which shims hand their listeners; throws as `statusSocket`.
    func egressSocket() throws -> String { try self.socketRoot() + "/egress.sock" }

    /// What the egress server of this policy serves; without entries when no profile has egress. Throws status 78 in
    /// production when connections are redirected.
    func egress(_ bundle: PolicyBundle) throws -> EgressServerConfiguration {
        let overrides = try EgressServerConfiguration.overrides(self.settings.text("egress.overrides") ?? "")
        guard try overrides.isEmpty || self.settings.required("environment") != "production" else {
            throw CommandError.configuration(
                "egress.overrides sends connections elsewhere than the rules say, which ENV=production refuses")
        }
        var entries: [DefinitionName: [JSONValue]] = [:]
        for profile in bundle.profiles.values where !profile.egress.isEmpty {
            entries[profile.name] = profile.egress.flatMap { bundle.egress[$0]?.entries ?? [] }
        }
        return EgressServerConfiguration(
            socket: try self.egressSocket(), generation: 1, entries: entries, overrides: overrides)
    }
}
