internal import HTTPTypes
internal import Domain

/// The OpenAPI 3.1 document, generated from the same endpoints as the router.
enum OpenAPIDocument {
    /// Problems that any endpoint behind the credential may answer with.
    private static let common = [400, 401, 403, 421, 422, 429, 431, 500, 503]
    private static let open = [400, 403, 421, 429, 431, 500, 503]

    /// The document of an API with this configuration.
    static func json(_ configuration: APIConfiguration) -> JSONValue {
        var paths: [JSONMember] = []
        for path in Set(Endpoint.all.map(\.path)).sorted() {
            let operations = Endpoint.all.filter { $0.path == path }.map {
                JSONMember($0.method.rawValue.lowercased(), self.operation($0))
            }
            paths.append(JSONMember(path, .object(self.pathParameters(path) + operations)))
        }
        let server: JSONValue = ["url": .string(configuration.publicURL ?? "/")]
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Orchestra", "version": "1",
                "description": "Submits actions and agents, and reports their states and results.",
            ],
            "servers": [server], "paths": .object(paths),
            "components": [
                "schemas": Schema.components,
                "securitySchemes": [
                    "credential": [
                        "type": "http", "scheme": "bearer",
                        "description": "An API key (relay_sk_…) or a token of the issuer.",
                    ]
                ],
            ],
        ]
    }

    private static func pathParameters(_ path: String) -> [JSONMember] {
        let known: [(String, JSONValue)] = [("id", Schema.uuid), ("workspace", Schema.name(63))]
        let parameters: [JSONValue] = known.filter { path.contains("{\($0.0)}") }.map { name, schema in
            ["name": .string(name), "in": "path", "required": true, "schema": schema]
        }
        return parameters.isEmpty ? [] : [JSONMember("parameters", .array(parameters))]
    }

    private static func operation(_ endpoint: Endpoint) -> JSONValue {
        var members = [
            JSONMember("summary", .string(endpoint.summary)),
            JSONMember("operationId", .string(self.name(endpoint))),
            JSONMember("security", endpoint.operation == nil ? [] : [["credential": []]]),
        ]
        if !endpoint.parameters.isEmpty {
            members.append(
                JSONMember(
                    "parameters",
                    .array(
                        endpoint.parameters.map {
                            [
                                "name": .string($0.name), "in": "query", "required": false,
                                "description": .string($0.text), "schema": $0.schema,
                            ]
                        })))
        }
        let content: JSONValue? =
            endpoint.streamsBody
            ? .object([JSONMember(Endpoint.archiveType, [:])])
            : endpoint.body.map { ["application/json": ["schema": $0]] }
        if let content { members.append(JSONMember("requestBody", ["required": true, "content": content])) }
        members.append(JSONMember("responses", .object(self.responses(endpoint))))
        return .object(members)
    }

    private static func name(_ endpoint: Endpoint) -> String {
        let words = endpoint.path.split { !$0.isLetter && !$0.isNumber }
        return endpoint.method.rawValue.lowercased() + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private static func responses(_ endpoint: Endpoint) -> [JSONMember] {
        var responses = endpoint.answers.map { answer in
            var members = [JSONMember("description", .string(answer.text))]
            if !answer.type.isEmpty {
                let content: JSONValue = answer.schema.map { ["schema": $0] } ?? [:]
                members.append(JSONMember("content", .object([JSONMember(answer.type, content)])))
            }
            return JSONMember(String(answer.status), .object(members))
        }
        let general = endpoint.operation == nil ? self.open : self.common
        for status in Set(general + endpoint.problems).sorted() {
            let response: JSONValue = [
                "description": "A problem.",
                "content": ["application/problem+json": ["schema": Schema.reference("Problem")]],
            ]
            responses.append(JSONMember(String(status), response))
        }
        return responses
    }
}
