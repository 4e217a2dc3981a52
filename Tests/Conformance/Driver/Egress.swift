import ConformanceSupport
import Domain

/// Plays the connections of `orchestra-conformance egress` and returns what each gave, in order.
func playEgressCases(_ input: JSONValue) throws -> [JSONValue] { try EgressScenario(input).play() }
