import ConformanceSupport
import Domain
import Foundation

// orchestra-conformance supervisor < CASES
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

do {
    switch CommandLine.arguments.dropFirst().first {
    case "supervisor":
        for line in try await playSupervisorVectors(try readInput()) { print(line.text) }
    default: fail("expected: orchestra-conformance supervisor")
    }
} catch {
    fail("\(error)")
}
