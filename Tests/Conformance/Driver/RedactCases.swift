import ConformanceSupport
import Domain
import Redaction

/// Redacts each case's segments as they are cut, and returns what came out.
func redactCases(_ input: JSONValue) throws -> [JSONValue] {
    guard let cases = input["cases"]?.array else { throw VectorError("expected {\"cases\":[…]}") }
    return try cases.map { vector in
        guard let id = vector["id"], let segments = vector["segments_hex"]?.array else {
            throw VectorError("a case lacks its id or segments")
        }
        var redactor = Redactor()
        var output: [UInt8] = []
        for segment in segments {
            guard let text = segment.string, let bytes = Hexadecimal.bytes(of: text) else {
                throw VectorError("a segment is not in hexadecimal digits")
            }
            redactor.redact(bytes, into: &output)
        }
        redactor.finish(into: &output)
        return ["id": id, "output_hex": .string(Hexadecimal.text(of: output))]
    }
}
