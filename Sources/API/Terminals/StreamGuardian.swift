internal import Credentials
internal import Domain

/// Watches the credential of an open stream.
struct StreamGuardian: Sendable {
    let services: APIServices
    let principal: Principal

    /// Checks in a row that may fail to answer before the credential counts as revoked: together with the time for which
    /// an answer is fresh they stay below five seconds.
    private static let unknownChecksTolerated = 2

    /// Returns true once the credential is no longer valid, false when the caller was cancelled.
    func ended() async -> Bool {
        let interval = Duration.milliseconds(self.services.configuration.recheckInterval)
        var generation: UInt64?
        var unknown = 0
        while await ContinuousClock.elapsed(interval) {
            switch await self.services.authenticator.standing(of: self.principal, since: generation) {
            case .good(let now): (generation, unknown) = (now, 0)
            case .over: return true
            case .unknown:
                unknown += 1
                if unknown > Self.unknownChecksTolerated { return true }
            }
        }
        return false
    }
}
