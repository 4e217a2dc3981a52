import Domain
import Egress
import Foundation
import Policy
import Sandboxing

/// Says how the egress rules of a sandbox profile decide a request, without asking for any address.
struct EgressExplanation {
    let isAllowed: Bool
    let text: String

    /// Throws status 64 for an unknown profile or method and for what is not a URL of http or https.
    init(_ bundle: PolicyBundle, profile: String, url: String, method: String) throws {
        guard let known = bundle.profiles[try DefinitionName(profile)] else {
            throw CommandError(.usage, "there is no sandbox profile '\(Printable.text(profile))'")
        }
        guard let rules = bundle.egressRules[known.name] else {
            self.isAllowed = false
            self.text = "denied: the sandbox profile '\(known.name)' names no egress file, and has no network"
            return
        }
        let isTLS = url.hasPrefix("https://")
        guard isTLS || url.hasPrefix("http://"), let parts = URLComponents(string: url),
            let host = parts.percentEncodedHost, let port = UInt16(exactly: parts.port ?? (isTLS ? 443 : 80)),
            parts.user == nil
        else {
            throw CommandError(
                .usage, "'\(Printable.text(url))' is not a URL that begins with http:// or https://")
        }
        guard let method = EgressMethod(rawValue: method) else {
            throw CommandError(.usage, "there is no method '\(Printable.text(method))'; expected one such as GET")
        }
        let decision: EgressDecision
        do throws(EgressRefusal) {
            let target = EgressTarget(
                host: try EgressHost(Array(host.utf8)[...]), port: port)
            let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
            decision =
                isTLS
                ? rules.decide(target, listener: .tunnel, method: .connect)
                : rules.decide(target, listener: .http, method: method, path: try RequestPath(Array(path.utf8)[...]))
        } catch {
            decision = .refuse(error)
        }
        switch decision {
        case .allow(let entry):
            self.isAllowed = true
            let text =
                "allowed by \(entry.id): \(entry.host) as \(isTLS ? "a tunnel, whose path and method are not visible" : "http"); its addresses are checked when it is used"
            self.text = ([text] + entry.warnings.map { "warning: \($0)" }).joined(separator: "\n")
        case .refuse(let refusal):
            self.isAllowed = false
            let rule = refusal.entry.map { " by \($0)" } ?? ""
            self.text = "denied\(rule): \(refusal.reason.rawValue): \(refusal.detail). \(refusal.reason.advice)"
        }
    }
}
