import Domain
import HTTPTypes
import Testing

@testable import API

@Suite("Endpoint")
struct EndpointTests {
    @Test("a path and a method name one endpoint")
    func unique() {
        let names = Endpoint.all.map { "\($0.method) \($0.path)" }
        #expect(Set(names).count == names.count)
    }

    @Test("every operation that a policy can permit belongs to an endpoint, and to one without a credential none")
    func operations() {
        let used = Set(Endpoint.all.compactMap(\.operation))
        #expect(used == Set(Operation.allCases))
        for endpoint in Endpoint.all where endpoint.operation == nil {
            #expect(Gatekeeper.publicPaths.contains(endpoint.path), "\(endpoint.path)")
        }
    }

    @Test("a public path has no endpoint that needs a credential")
    func publicPaths() {
        for path in Gatekeeper.publicPaths {
            #expect(Endpoint.all.filter { $0.path == path }.allSatisfy { $0.operation == nil }, "\(path)")
        }
    }

    @Test("a path's methods include HEAD where there is a GET of a document")
    func methods() {
        #expect(Endpoint.methods(of: "/ai/jobs") == "GET, HEAD")
        #expect(Endpoint.methods(of: "/ai/execute") == "POST")
        #expect(Endpoint.methods(of: "/ai/jobs/any-id") == "GET, HEAD")
    }

    @Test("a stream has no HEAD", arguments: ["/ai/agents/x/output", "/ai/agents/x/terminal"])
    func streams(path: String) { #expect(Endpoint.methods(of: path[...]) == "GET") }

    @Test("an archive has no HEAD, and only the body of one is read while it is used")
    func archives() {
        let path = "/ai/workspaces/acme/files"
        #expect(Endpoint.methods(of: path[...]) == "GET, PUT")
        #expect(Endpoint.streamsBody(request(path, method: .put)))
        #expect(Endpoint.streamsBody(request(path + "?x=1", method: .put)))
        for (other, method) in [
            (path, HTTPRequest.Method.get), (path, .post), ("/ai/workspaces//files", .put), (path + "/x", .put),
            ("/ai/execute", .put), ("/ai/execute", .post),
        ] {
            #expect(!Endpoint.streamsBody(request(other, method: method)), "\(method) \(other)")
        }
    }

    @Test(
        "a path that does not exist has no methods",
        arguments: ["", "/", "/ai", "/ai/jobs/x/y", "/ai/jobs/", "/audit/x"])
    func absent(path: String) { #expect(Endpoint.methods(of: path[...]) == nil) }
}

@Suite("OpenAPIDocument")
struct OpenAPIDocumentTests {
    private static let document = OpenAPIDocument.json(APIConfiguration(address: .tcp(host: "127.0.0.1", port: 0)))

    @Test("the document has exactly the endpoints of the router")
    func endpoints() {
        let documented = Self.document["paths"]?.members?.flatMap { path in
            (path.value.members ?? []).map(\.name).filter { $0 != "parameters" }.map {
                "\($0.uppercased()) \(path.name)"
            }
        }
        #expect(Set(documented ?? []) == Set(Endpoint.all.map { "\($0.method.rawValue) \($0.path)" }))
    }

    @Test("every operation has an id of its own")
    func operationIDs() {
        let operations = Self.document["paths"]?.members?.flatMap { $0.value.members ?? [] } ?? []
        let names = operations.compactMap { $0.value["operationId"]?.string }
        #expect(names.count == Endpoint.all.count && Set(names).count == names.count)
    }

    @Test("every schema that is referred to is in the document")
    func references() {
        func references(_ value: JSONValue) -> [String] {
            switch value {
            case .object(let members):
                members.flatMap { $0.name == "$ref" ? [$0.value.string ?? ""] : references($0.value) }
            case .array(let values): values.flatMap(references)
            default: []
            }
        }
        let names = Set(Self.document["components"]?["schemas"]?.members?.map(\.name) ?? [])
        let used = Set(references(Self.document).map { $0.replacing("#/components/schemas/", with: "") })
        #expect(!used.isEmpty && used.isSubset(of: names), "\(used.subtracting(names))")
    }

    @Test("an endpoint without a credential says so, every other needs one")
    func security() throws {
        for endpoint in Endpoint.all {
            let method = endpoint.method.rawValue.lowercased()
            let operation = try #require(Self.document["paths"]?[endpoint.path]?[method])
            #expect((operation["security"]?.array?.isEmpty == true) == (endpoint.operation == nil), "\(endpoint.path)")
        }
    }

    @Test("a path with an id declares it, and an endpoint behind a credential may answer 401")
    func parameters() throws {
        for endpoint in Endpoint.all {
            let path = try #require(Self.document["paths"]?[endpoint.path])
            #expect((path["parameters"] != nil) == endpoint.path.contains("{"))
            let responses = path[endpoint.method.rawValue.lowercased()]?["responses"]
            #expect((responses?["401"] != nil) == (endpoint.operation != nil))
        }
    }

    @Test("the server's URL is the public one where there is one")
    func server() {
        var configuration = APIConfiguration(address: .unix(path: "/x"))
        configuration.publicURL = "https://api.example"
        #expect(OpenAPIDocument.json(configuration)["servers"]?.array?.first?["url"] == "https://api.example")
        #expect(Self.document["servers"]?.array?.first?["url"] == "/")
    }
}

@Suite("APIConfiguration")
struct APIConfigurationTests {
    @Test("an origin is allowed byte by byte")
    func origins() {
        var configuration = APIConfiguration(address: .unix(path: "/x"))
        configuration.origins = [Array("https://caf\u{e9}.example".utf8)]
        #expect(configuration.allows(origin: "https://caf\u{e9}.example"))
        // The same text to `==`.
        #expect(!configuration.allows(origin: "https://cafe\u{301}.example"))
        #expect(!configuration.allows(origin: "null"))
    }

    @Test("two addresses cannot take more than half of all connections' places")
    func shares() {
        let configuration = APIConfiguration(address: .unix(path: "/x"))
        #expect(2 * configuration.addressConnectionLimit <= configuration.connectionLimit / 2)
    }
}
