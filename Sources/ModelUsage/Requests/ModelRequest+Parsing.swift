internal import Domain

extension ModelRequest {
    /// Reads a request and checks it against the rules. `path` is without the query, as the caller wrote it. Throws the
    /// refusal to answer with; nothing of the request may then be sent.
    package init(
        provider: ModelProvider, method: String, path: String, headers: [(name: String, value: String)], body: [UInt8],
        rules: ModelRequestRules
    ) throws(ModelRefusal) {
        let endpoint = try ModelEndpoint.find(provider, method: method, path: path)
        try Self.check(headers: headers)
        guard body.count <= rules.bodyLimit else {
            throw ModelRefusal(
                status: 413, code: .requestTooLarge,
                message: "the request is larger than \(rules.bodyLimit) bytes: send less content")
        }
        switch endpoint {
        case .probe, .models:
            guard body.isEmpty else { throw .malformed("this path takes no body") }
            self.init(provider: provider, endpoint: endpoint, document: .object([]), body: body)
        case .countTokens(let model), .generate(let model, _):
            guard !ValueCount.exceeds(ModelRequestRules.valueLimit, in: body) else {
                throw ModelRefusal(
                    status: 413, code: .requestTooLarge,
                    message: "the request has more than \(ModelRequestRules.valueLimit) values: send less content")
            }
            let document: JSONValue
            do throws(DomainError) { document = try JSONParser.parse(body, depthLimit: 100) } catch {
                throw .malformed(error.message)
            }
            guard document.members != nil else { throw .malformed("the body must be a JSON object") }
            let name = try Self.model(
                model, in: document, provider: provider, isRequired: endpoint.isCharged, rules: rules)
            for name in ["service_tier", "speed"] {
                guard let tier = document[name]?.string, !Self.isTier(tier) else { continue }
                throw .malformed("'\(name)' must be a word of letters and digits")
            }
            let walk = ProviderSideWalk(document, provider: provider)
            try Self.check(walk, rules: rules)
            self.init(
                provider: provider, endpoint: endpoint, document: document, body: body, model: name,
                output: endpoint.isCharged ? try OutputLimit(document, provider: provider, rules: rules) : nil,
                walk: walk)
        }
    }

    private init(
        provider: ModelProvider, endpoint: ModelEndpoint, document: JSONValue, body: [UInt8], model: String? = nil,
        output: OutputLimit? = nil, walk: ProviderSideWalk? = nil
    ) {
        var isStreamed = document["stream"]?.bool == true && provider != .gemini && endpoint.isCharged
        if case .generate(_, let fromPath?) = endpoint { isStreamed = fromPath }
        self.provider = provider
        self.endpoint = endpoint
        self.model = model
        self.isStreamed = isStreamed
        self.maximumOutput = output?.total ?? 0
        self.limitsOutput = output?.isSet ?? false
        self.bodyBytes = UInt64(body.count)
        let bytes = self.bodyBytes.subtractingSaturated(walk?.surplusBytes ?? 0)
        self.estimatedInput = endpoint.isCharged ? TokenEstimate.ofNewRequest(bytes: bytes) : 0
        let speed = document["speed"]?.string
        self.tier = speed == nil || speed == "standard" ? document["service_tier"]?.string : speed
    }

    /// Whether a service tier is a plain word; it goes into events and prices.
    private static func isTier(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "_-.".utf8.contains(byte)
                }
            }
    }

    private static func check(headers: [(name: String, value: String)]) throws(ModelRefusal) {
        for header in headers {
            switch header.name.lowercased() {
            case "upgrade":
                throw ModelRefusal(
                    status: 426, code: .upgradeNotSupported,
                    message: "WebSocket is not supported here: send the request as HTTP")
            case "content-encoding" where header.value.lowercased() != "identity":
                throw ModelRefusal(
                    status: 415, code: .encodingNotSupported,
                    message: "a compressed request cannot be checked: send it without content-encoding")
            default: break
            }
        }
    }

    private static func check(_ walk: ProviderSideWalk, rules: ModelRequestRules) throws(ModelRefusal) {
        if let tool = walk.unknownTools.first {
            throw ModelRefusal(
                status: 403, code: .unknownTool,
                message: "the tool type '\(tool)' is not known here, so it is refused: remove it from 'tools'")
        }
        let refused = walk.features.subtracting(rules.features).map(\.rawValue).sorted()
        guard refused.isEmpty else {
            throw ModelRefusal(
                status: 403, code: .providerSideFetch,
                message: "the request asks the provider for \(refused.joined(separator: ", ")), which is not allowed: "
                    + "remove it, send content inline, or ask the operator to allow it")
        }
    }

    private static func model(
        _ fromPath: String?, in document: JSONValue, provider: ModelProvider, isRequired: Bool,
        rules: ModelRequestRules
    ) throws(ModelRefusal) -> String? {
        guard let name = fromPath ?? document["model"]?.string else {
            guard !isRequired, document["model"] == nil else { throw .malformed("'model' must be the name of a model") }
            return nil
        }
        guard ModelPattern.isModelName(name) else { throw .malformed("'model' must be the name of a model") }
        // Some services fall back to the models of a list.
        let others = provider == .openAIChat ? document["models"]?.array ?? [] : []
        let names = [name] + others.map { $0.string ?? "" }
        if let models = rules.models, !names.allSatisfy({ name in models.contains { $0.covers(name) } }) {
            throw ModelRefusal(
                status: 403, code: .modelNotAllowed,
                message: "the model '\(name)' is not allowed here: use \(models.map(\.text).joined(separator: ", "))")
        }
        return name
    }
}
