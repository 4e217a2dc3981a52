import Domain
import Egress
import EgressServer
import Foundation
import ModelUsage
import Policy
import Sandboxing
import TransportSecurity

extension Context {
    /// The socket to which shims hand their listeners; throws as `statusSocket`.
    func egressSocket() throws -> String { try self.socketRoot() + "/egress.sock" }

    /// Where the listeners of sandboxes are served, with the models of each profile; throws as `statusSocket`.
    func egressEndpoint(_ bundle: PolicyBundle) throws -> EgressAccess.Endpoint {
        EgressAccess.Endpoint(
            socket: try self.egressSocket(), models: bundle.egressRules.mapValues { $0.modelServices })
    }

    /// The prices of models, none where the policies have no such file; throws status 78 when it cannot be used.
    func prices() throws -> PriceTable {
        let path = try self.policiesDirectory() + "/models/prices.json"
        do {
            guard let bytes = try HostFiles.contents(of: path) else { return .none }
            return try PriceTable(json: bytes, file: path)
        } catch {
            throw CommandError.configuration("the price table cannot be used: \(error)")
        }
    }

    /// What the egress server of this policy serves; without entries when no profile has egress. Throws status 78 in
    /// production when connections are redirected.
    func egress(_ bundle: PolicyBundle) throws -> EgressServerConfiguration {
        let overrides = try EgressServerConfiguration.overrides(self.settings.text("egress.overrides") ?? "")
        guard overrides.isEmpty || !self.settings.isProduction else {
            throw CommandError.configuration(
                "egress.overrides sends connections elsewhere than the rules say, which ENV=production refuses")
        }
        let authorityFile = self.settings.text("egress.ca-file")
        if let authorityFile {
            do throws(TLSError) {
                try TLSClientHandler.validate(TLSConfiguration(serverName: "any", authorityFile: authorityFile))
            } catch {
                throw CommandError.configuration("egress.ca-file: \(error.message)")
            }
        }
        var entries: [DefinitionName: [JSONValue]] = [:]
        for profile in bundle.profiles.values where !profile.egress.isEmpty {
            entries[profile.name] = profile.egress.flatMap { bundle.egress[$0]?.entries ?? [] }
        }
        return EgressServerConfiguration(
            socket: try self.egressSocket(), generation: 1, entries: entries, overrides: overrides,
            authorityFile: authorityFile)
    }
}
