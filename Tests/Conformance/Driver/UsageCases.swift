import ConformanceSupport
import Cryptography
import Domain
import ModelUsage

/// Reads the usage out of each answer as the model gateway does. The digest is of the segments as they were taken, which are
/// what is relayed: the reader sees a copy. `input` does not include cached tokens, for any provider.
func readUsage(_ input: JSONValue) throws -> [JSONValue] {
    guard let cases = input["cases"]?.array else { throw VectorError("expected {\"cases\":[…]}") }
    return try cases.map { try readUsage(of: $0) }
}

private func readUsage(of vector: JSONValue) throws -> JSONValue {
    guard let id = vector["id"], let name = vector["provider"]?.string, let provider = ModelProvider(rawValue: name),
        let status = vector["status"]?.integer, let segments = vector["segments_hex"]?.array
    else { throw VectorError("a case lacks its id, known provider, status or segments") }
    var reader = UsageReader(provider: provider)
    reader.received(status: Int(clamping: status), headers: try headers(of: vector))
    var relayed: [UInt8] = []
    for segment in segments {
        guard let text = segment.string, let bytes = Hexadecimal.bytes(of: text) else {
            throw VectorError("a segment is not in hexadecimal digits")
        }
        reader.received(bytes)
        relayed += bytes
    }
    reader.ended(closedEarly: vector["closed_early"]?.bool ?? false)
    let usage = reader.usage
    return [
        "id": id, "input": number(usage.input), "output": number(usage.output),
        "cache_read": number(usage.cacheRead), "cache_write": number(usage.cacheWrite),
        "model": usage.model.map(JSONValue.string) ?? .null, "estimated": .bool(usage.isEstimated),
        "relayed_sha256": .string(Hexadecimal.text(of: try Digests.sha256(relayed))),
    ]
}

/// A header's value is a text, or a list of texts for a header that occurs several times.
private func headers(of vector: JSONValue) throws -> [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    for member in vector["headers"]?.members ?? [] {
        for value in member.value.array ?? [member.value] {
            guard let text = value.string else { throw VectorError("the header '\(member.name)' is not a text") }
            headers.append((member.name, text))
        }
    }
    return headers
}

private func number(_ count: UInt64) -> JSONValue { .integer(Int64(clamping: count)) }
