import ConformanceSupport
import Credentials
import Cryptography
import Domain
import Foundation

// orchestra-conformance supervisor|jwt|usage|egress|redact-stream < CASES
//
// Reads cases from standard input and prints what the product's own modules do with them, one JSON object a
// line, in the order of the cases. It knows no expectation.

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("orchestra-conformance: \(message)\n".utf8))
    exit(64)
}

func readInput() throws -> JSONValue {
    let data = try FileHandle.standardInput.readToEnd() ?? Data()
    return try JSONParser.parse(Array(data))
}

/// Plays all vectors, some at once, and returns what each gave, in order.
func playSupervisorVectors(_ input: JSONValue) async throws -> [JSONValue] {
    guard let vectors = input["vectors"]?.array else { throw VectorError("expected {\"vectors\":[…]}") }
    return try await mapConcurrently(try vectors.map { try SupervisorVector($0) }, width: 16) { vector in
        try await SupervisorScenario(vector).play()
    }
}

/// Verifies all tokens as a node does that trusts this issuer, with the case's clock.
func verifyTokens(_ input: JSONValue) async throws -> [JSONValue] {
    guard let now = input["now"]?.integer, let issuer = input["issuer"]?.string,
        let audience = input["audience"]?.string, let claim = input["workspace_claim"]?.string,
        let jwks = input["jwks"], let profiles = input["profiles"]?.members, let vectors = input["vectors"]?.array
    else { throw VectorError("expected now, issuer, audience, workspace_claim, jwks, profiles and vectors") }
    let keys = FixedKeys(try KeySet(jwks.bytes))
    var verifiers: [String: TokenVerifier] = [:]
    for profile in profiles {
        let names = profile.value.array?.compactMap(\.string) ?? []
        verifiers[profile.name] = TokenVerifier(
            rules: TokenRules(
                issuer: issuer, audience: audience,
                algorithms: Set(names.compactMap(SignatureKey.Algorithm.init(rawValue:))), workspaceClaim: claim,
                longestLifetime: UInt64(clamping: input["max_lifetime_s"]?.integer ?? 3600),
                leeway: UInt64(clamping: input["leeway_s"]?.integer ?? 60)),
            keys: keys)
    }
    var lines: [JSONValue] = []
    for vector in vectors {
        guard let id = vector["id"], let token = vector["token"]?.string,
            let verifier = verifiers[vector["profile"]?.string ?? ""]
        else { throw VectorError("a vector lacks its id, token or known profile") }
        switch await verifier.verify(token[...], now: UInt64(clamping: now)) {
        case .accepted(let principal):
            let scopes = principal.scopes.map(\.rawValue).sorted().map(JSONValue.string)
            let shown: JSONValue = [
                "subject": .string(principal.subject), "workspace": .string(principal.workspace.name),
                "scopes": .array(scopes),
            ]
            lines.append(["id": id, "verdict": "accept", "reason": "", "principal": shown])
        case .refused(let reason): lines.append(["id": id, "verdict": "reject", "reason": .string(reason)])
        case .busy, .unavailable: throw VectorError("the keys of the case could not be had")
        }
    }
    return lines
}

do {
    switch CommandLine.arguments.dropFirst().first {
    case "supervisor":
        for line in try await playSupervisorVectors(try readInput()) { print(line.text) }
    case "jwt":
        for line in try await verifyTokens(try readInput()) { print(line.text) }
    case "usage":
        for line in try readUsage(try readInput()) { print(line.text) }
    case "egress":
        for line in try playEgressCases(try readInput()) { print(line.text) }
    case "redact-stream":
        for line in try redactCases(try readInput()) { print(line.text) }
    default: fail("expected: orchestra-conformance supervisor|jwt|usage|egress|redact-stream")
    }
} catch {
    fail("\(error)")
}
