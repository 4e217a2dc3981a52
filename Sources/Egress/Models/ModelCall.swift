internal import ModelUsage

/// One call of a model by way of the listener's base URL: the caller's request and its body, what is sent to the provider,
/// and the provider's answer. A part of `TunnelMachine`, which decides.
struct ModelCall: Hashable, Sendable {
    let entry: EgressEntry
    let provider: ModelProvider
    let target: EgressTarget
    let path: RequestPath
    /// Whether the caller sent a credential of its own in addition to the placeholder. It is removed.
    let hasForeignCredential: Bool
    /// The request once its body is complete.
    var request: ModelRequest?
    private let access: ModelAccess
    private let head: RequestHead
    private let query: String
    let length: Int
    private var body: [UInt8] = []
    private var answer = ModelAnswer()
    private var reader: UsageReader?
    /// Ours, and what takes it out of the answer.
    private var credential: String?
    private var mask: SecretMask?
    /// What the provider got, until it has begun to answer for good.
    private var sent: [UInt8] = []
    /// How often the call waited for the provider's limit, and for how long in all.
    private var waits = 0
    private(set) var waitedSeconds: UInt64 = 0

    /// The longest time in seconds that a call waits in all: clients give up after about six minutes without an answer.
    static let longestWait: UInt64 = 300
    /// The most attempts after the first.
    static let waitLimit = 5

    /// Finds the entry of the service that the path names. Throws for a path that is no model's, a service without an entry,
    /// a request without the placeholder of this launch, and a body whose length is not stated or is too large.
    init(_ head: RequestHead, _ configuration: TunnelConfiguration) throws(EgressRefusal) {
        guard let (service, path) = Self.service(head.line.path) else {
            throw EgressRefusal(.notAProxyRequest, "the target has no host: this is a forward proxy")
        }
        guard let (entry, access) = configuration.rules.model(service) else {
            throw EgressRefusal(
                .hostNotAllowed, "no entry of the rules allows the models of '\(service.rawValue)'")
        }
        guard let port = entry.ports?.first, case .exact(let host) = entry.host else {
            throw EgressRefusal(.hostNotAllowed, "the entry '\(entry.id)' names no single host", entry: entry.id)
        }
        self.entry = entry
        self.access = access
        self.provider = service.provider(path: path.spelled)
        self.target = EgressTarget(host: host, port: port)
        self.path = path
        self.head = head
        let query = String(decoding: head.line.query.dropFirst(), as: UTF8.self)
        self.query = ProviderCredentials.passingQuery(query)
        self.hasForeignCredential = try Self.checkPlaceholder(
            head, query: query, expected: configuration.launchSecret.map(service.placeholder), entry)
        switch head.framing {
        case .none: self.length = 0
        case .length(let length) where length <= UInt64(access.rules.bodyLimit): self.length = Int(length)
        case .length:
            throw EgressRefusal(
                .requestTooLarge, "the request is larger than \(access.rules.bodyLimit) bytes: send less content",
                entry: entry.id)
        case .chunked:
            throw EgressRefusal(
                .lengthRequired, "the length of the body is not stated: send content-length", entry: entry.id)
        }
    }

    /// The provider whose form a refusal of this path has; nil for a path of no service.
    static func provider(_ path: RequestPath?) -> ModelProvider? {
        self.service(path).map { service, path in service.provider(path: path.spelled) }
    }

    /// Divides `/model/SERVICE/path`; nil for any other path.
    private static func service(_ path: RequestPath?) -> (ModelService, RequestPath)? {
        guard let spelled = path?.spelled, spelled.hasPrefix(ModelService.pathPrefix) else { return nil }
        let rest = spelled.dropFirst(ModelService.pathPrefix.count)
        let name = rest.prefix { $0 != "/" }
        guard let service = ModelService(rawValue: String(name)) else { return nil }
        let own = rest.dropFirst(name.count)
        do throws(EgressRefusal) {
            return (service, try RequestPath(own.isEmpty ? Array("/".utf8)[...] : Array(own.utf8)[...]))
        } catch {
            return nil
        }
    }

    var method: EgressMethod { self.head.line.method }

    // MARK: - The request

    /// Whether the whole body has arrived.
    var isBodyComplete: Bool { self.body.count == self.length }

    /// Takes bytes of the body; what follows it is dropped.
    mutating func read(_ bytes: ArraySlice<UInt8>) {
        self.body += bytes.prefix(self.length - self.body.count)
    }

    /// Whether the check takes so long that other connections would wait for it.
    var isLarge: Bool { self.length > Self.largeLimit }

    /// About a millisecond of checking.
    private static let largeLimit = 64 * 1024

    /// Checks the request, whose body is complete. Throws the refusal to answer with.
    func checked() throws(EgressRefusal) -> ModelRequest {
        do throws(ModelRefusal) {
            return try ModelRequest(
                provider: self.provider, method: self.head.line.method.rawValue, path: self.path.spelled,
                headers: self.head.plainFields, body: self.body, rules: self.access.rules)
        } catch {
            throw EgressRefusal(
                EgressReason(rawValue: error.code.rawValue) ?? .malformedRequest, error.message,
                target: self.target, entry: self.entry.id)
        }
    }

    /// Takes the credential that is added to the request; nil for an entry without one.
    mutating func admit(credential: String?) {
        self.credential = credential
        self.mask = credential.flatMap { SecretMask($0) }
    }

    /// The request as the provider gets it, with our credential and without any of the caller's: the same each time that it
    /// is made. The answer is read from then on.
    mutating func send() -> [UInt8] {
        self.answer = ModelAnswer()
        self.reader = UsageReader(provider: self.provider, request: self.request?.sent ?? SentRequest())
        if self.sent.isEmpty { self.sent = self.outgoing() }
        return self.sent
    }

    private mutating func outgoing() -> [UInt8] {
        let host = self.target.port == 443 ? self.target.host.description : self.target.description
        let query = self.query.isEmpty ? "" : "?\(self.query)"
        var bytes = Array("\(self.head.line.method.rawValue) \(self.path.spelled)\(query) HTTP/1.1\r\n".utf8)
        bytes += "host: \(host)\r\n".utf8
        bytes += self.head.passedFields { field in
            ProviderCredentials.passes(header: field.folded) && !Self.replaced.contains(field.folded)
        }
        if let credential = self.credential {
            // Tokens of an account have a form of their own.
            let isOAuth = credential.hasPrefix("sk-ant-oat")
            let added = ProviderCredentials(self.provider, isOAuth: isOAuth).added(credential)
            bytes += "\(added.name): \(added.value)\r\n".utf8
        }
        // A compressed answer could not be metered.
        bytes += "accept-encoding: identity\r\n".utf8
        if self.length > 0 || self.head.line.method == .post { bytes += "content-length: \(self.length)\r\n".utf8 }
        bytes += "\r\n".utf8
        bytes += self.body
        self.body = []
        return bytes
    }

    private static let replaced: Set<String> = ["accept-encoding", "content-length", "expect", "forwarded", "via"]

    // MARK: - The answer

    /// What becomes of bytes of the answer.
    enum Relay: Hashable {
        /// They are for the caller. `isLast` when the answer is complete.
        case bytes([UInt8], isLast: Bool)
        /// The provider does not accept our credential; nothing of its answer is for the caller.
        case rejected
        /// The provider's limit is reached; the call can be made again after these seconds.
        case throttled(seconds: UInt64)
        /// They are not HTTP.
        case malformed
    }

    /// The status of the answer, once its head has been read.
    var answerStatus: Int? { self.answer.status }

    /// Whether the whole answer has arrived. One without a stated length ends with the connection.
    func isAnswerComplete(atEnd isEnd: Bool) -> Bool { self.answer.isComplete(atEnd: isEnd) }

    /// Whether any byte of the answer has arrived.
    var hasAnswerBegun: Bool { self.answer.hasBegun }

    /// Whether the connection can take another call.
    var keepsConnection: Bool { self.answer.keepsConnection && self.answer.isComplete(atEnd: false) }

    /// Takes bytes from the provider.
    mutating func received(_ bytes: [UInt8]) -> Relay {
        let isHead = self.answer.status == nil
        var (head, content) = self.answer.read(bytes, toHead: self.head.line.method == .head)
        guard !self.answer.isMalformed else { return .malformed }
        if isHead, let status = self.answer.status {
            self.reader?.received(status: status, headers: self.answer.headers)
            guard status != 401 else { return .rejected }
            if let seconds = self.wait(status) {
                self.waits += 1
                self.waitedSeconds += seconds
                return .throttled(seconds: seconds)
            }
            self.sent = []
            // A head is whole.
            if var mask = self.mask { head = mask.pass(head) + mask.end() }
        }
        if let masked = self.mask?.pass(content) { content = masked }
        if !content.isEmpty { self.reader?.received(content) }
        let isLast = self.answer.isComplete(atEnd: false)
        return .bytes(head + self.framed(content + (isLast ? self.held() : []), isLast: isLast), isLast: isLast)
    }

    /// Content as it is sent to the caller: in chunks of our own where the answer has chunks, since masking changes where
    /// bytes are passed on.
    private func framed(_ content: [UInt8], isLast: Bool) -> [UInt8] {
        guard self.answer.isChunked else { return content }
        let chunk =
            content.isEmpty ? [] : Array("\(String(content.count, radix: 16))\r\n".utf8) + content + Array("\r\n".utf8)
        return isLast ? chunk + Array("0\r\n\r\n".utf8) : chunk
    }

    /// What is left for the caller at the end of the answer.
    mutating func held() -> [UInt8] { self.mask?.end() ?? [] }

    /// The same when the provider ends before its answer is whole. In chunks it would be no chunk.
    mutating func heldAtCut() -> [UInt8] { self.answer.isChunked ? [] : self.held() }

    /// Whether the answer had our credential in it.
    var hasReflectedSecret: Bool { self.mask?.count ?? 0 > 0 }

    /// How long to wait when the answer says that the provider's limit is reached, or that it is overloaded; nil when the
    /// answer is for the caller, also since the wait would be too long for it. Without a time from the provider the pauses
    /// double from one second.
    private func wait(_ status: Int) -> UInt64? {
        guard [429, 503, 529].contains(status), self.waits < Self.waitLimit else { return nil }
        let header = self.answer.headers.first { $0.name == "retry-after" }
        let seconds = header.map { UInt64($0.value) } ?? UInt64(1) << self.waits
        // A limit that ends at a date, or is none of time, such as a quota that is used up, is the caller's matter.
        guard let seconds, status != 429 || header != nil else { return nil }
        let pause = max(1, seconds)
        return pause <= Self.longestWait - self.waitedSeconds ? pause : nil
    }

    /// What the call has used, as far as is known; nil when nothing was sent. `isWhole` when the answer has ended well,
    /// `isAbandoned` when the caller has left: then an answer that comes in one piece counts as made in full.
    mutating func usage(isWhole: Bool, isAbandoned: Bool) -> TokenUsage? {
        self.reader?.ended(closedEarly: !isWhole)
        guard var usage = self.reader?.usage else { return nil }
        // The name is the provider's word. It must not carry our credential into the trail.
        let isName = usage.model.map { ModelPattern.isModelName($0) } ?? true
        if !isName || self.credential.map({ usage.model?.contains($0) == true }) == true {
            usage.model = self.request?.model
        }
        if isAbandoned, !isWhole, let request = self.request, !request.isStreamed, request.endpoint.isCharged,
            self.answer.status.map({ (200..<300).contains($0) }) ?? true
        {
            usage.output = max(usage.output, request.maximumOutput)
            usage.isEstimated = true
        }
        return usage
    }

    // MARK: - The placeholder

    /// Returns whether there are credentials in addition to the placeholder. Throws `unknown_placeholder` when it is missing.
    private static func checkPlaceholder(
        _ head: RequestHead, query: String, expected: String?, _ entry: EgressEntry
    ) throws(EgressRefusal) -> Bool {
        let isCookie: Set<String> = ["cookie", "cookie2"]
        var presented = head.plainFields.filter {
            !ProviderCredentials.passes(header: $0.name) && !isCookie.contains($0.name)
        }.map(\.value)
        for part in query.split(separator: "&") {
            let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
            if sides.count == 2, ProviderCredentials.removedQueryNames.contains(sides[0].lowercased()) {
                presented.append(sides[1])
            }
        }
        let tokens = presented.map { value in
            value.lowercased().hasPrefix("bearer ") ? String(value.dropFirst("bearer ".count)) : value
        }
        guard let expected, tokens.contains(where: { Self.isEqual($0, expected) }) else {
            throw EgressRefusal(
                .unknownPlaceholder,
                "the key is not the one that this sandbox was given: use the key of the environment", entry: entry.id)
        }
        return tokens.contains { !Self.isEqual($0, expected) }
    }

    /// Takes the same time wherever the texts differ.
    private static func isEqual(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
