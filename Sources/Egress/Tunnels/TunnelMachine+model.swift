package import ModelUsage

/// Calls of models, which come to the listener by a base URL: the whole body first, then the way of every other request, then
/// the admission with the credential, and the provider's answer.
extension TunnelMachine {
    /// The name that the server's certificate must have; nil when the caller itself makes TLS, or there is none.
    package var serverNameForTLS: String? { self.modelTarget.map { $0.host.description } }

    /// The host and port of the model, from the first byte of its body on.
    package var modelTarget: EgressTarget? {
        self.event.model == nil ? nil : self.request?.target
    }

    mutating func beginCall(
        _ head: RequestHead, _ rest: ArraySlice<UInt8>
    ) throws(EgressRefusal) -> [TunnelAction] {
        self.event.method = head.line.method
        self.event.listener = .model
        self.event.path = head.line.path?.normalized
        let call = try ModelCall(head, self.configuration)
        self.event.target = call.target
        self.event.path = call.path.normalized
        self.event.entry = call.entry.id
        self.event.credential = call.entry.credential
        var model = EgressEvent.Model(provider: call.provider)
        model.hasForeignCredential = call.hasForeignCredential
        self.event.model = model
        // From here on refusals have the form of the provider.
        self.call = call
        self.request = Request(line: head.line, entry: try self.configuration.decide(call), target: call.target)
        self.state = .readingBody
        return try self.readBody(rest)
    }

    /// Takes bytes of the body, and goes on once the request is complete.
    mutating func readBody(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> [TunnelAction] {
        self.call?.read(bytes)
        guard let call = self.call, call.isBodyComplete else { return [] }
        guard !call.isLarge else {
            self.state = .checking
            return [.check(ModelCheck(call))]
        }
        return self.begin(try call.checked())
    }

    /// The check of a large request has ended.
    package mutating func checked(_ result: Result<ModelRequest, EgressRefusal>) -> [TunnelAction] {
        guard self.state == .checking else { return [] }
        guard !self.hasCallerEnded else { return self.close() }
        switch result {
        case .success(let request): return self.begin(request)
        case .failure(let refusal): return self.refuse(refusal)
        }
    }

    /// Asks for addresses of the host: the request is allowed.
    private mutating func begin(_ request: ModelRequest) -> [TunnelAction] {
        self.call?.request = request
        self.event.model?.name = request.model
        self.event.model?.isCharged = request.endpoint.isCharged
        self.event.model?.estimatedInput = request.estimatedInput
        self.event.model?.maximumOutput = request.maximumOutput
        self.event.model?.tier = request.tier
        guard request.endpoint != .probe else { return self.answerProbe() }
        return self.call.map { self.reach($0.target) } ?? []
    }

    /// Clients ask whether the address answers; no provider is asked for that.
    private mutating func answerProbe() -> [TunnelAction] {
        self.event.status = 200
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        return self.recordDecision() + [.answer(Array(answer.utf8))] + self.close()
    }

    /// The provider is connected: asks for the credential.
    mutating func admit() -> [TunnelAction] {
        // It was admitted before it had to wait.
        if let bytes = self.call?.sendAgain() {
            guard !self.hasCallerEnded else { return self.close() }
            self.state = .relaying
            self.event.bytesFromCaller += bytes.count
            return [.forward(bytes)]
        }
        self.state = .admitting
        self.hasRecorded = true
        return [.admit(self.event)]
    }

    /// The trail has the decision, and the call its budget: the request goes out. `credential` is nil for an entry without
    /// one; `reservation` names what is held of the budget, for the event at the end.
    package mutating func admitted(credential: String?, reservation: String?) -> [TunnelAction] {
        guard self.state == .admitting else { return [] }
        self.event.model?.reservation = reservation
        guard !self.hasCallerEnded else { return self.close() }
        self.state = .relaying
        guard let bytes = self.call?.send(credential: credential) else { return self.close() }
        self.event.bytesFromCaller += bytes.count
        return [.forward(bytes)]
    }

    mutating func relayAnswer(_ bytes: [UInt8]) -> [TunnelAction] {
        switch self.call?.received(bytes) {
        case .bytes(let relayed, let isLast):
            self.event.status = self.call?.answerStatus
            self.event.bytesToCaller += relayed.count
            let actions: [TunnelAction] = relayed.isEmpty ? [] : [.answer(relayed)]
            return isLast ? actions + self.close() : actions
        case .rejected:
            // The agent would begin to log in.
            return self.refuse(.credentialRejected, "the provider does not accept the credential of this entry")
        case .throttled(let seconds):
            self.state = .waiting
            self.hasServerEnded = false
            return [.wait(seconds: seconds)]
        case .malformed, nil: return self.refuse(.answerMalformed, "the answer of the provider is malformed")
        }
    }

    /// The wait for the provider's limit is over.
    package mutating func waited() -> [TunnelAction] {
        guard self.state == .waiting, let call = self.call else { return [] }
        guard !self.hasCallerEnded else { return self.close() }
        return self.event.address.map { self.dial([$0]) } ?? self.reach(call.target)
    }

    /// The provider has closed the connection.
    mutating func endAnswer() -> [TunnelAction] {
        self.hasServerEnded = true
        if self.isReused, self.call?.hasAnswerBegun == false, !self.hasCallerEnded {
            // The server had closed it before it could see the call: once more on a connection of its own.
            self.isReused = false
            self.mayReuseConnection = false
            self.hasServerEnded = false
            self.state = .waiting
            return [.wait(seconds: 0)]
        }
        guard self.call?.answerStatus != nil else {
            guard !self.hasCallerEnded else { return self.close() }
            return self.refuse(.answerMalformed, "the provider closed the connection without an answer")
        }
        let held = self.call?.held() ?? []
        self.event.bytesToCaller += held.count
        return (held.isEmpty ? [] : [.answer(held)]) + self.close()
    }

    /// Puts what the call has used into the event of its end.
    mutating func recordUsage() {
        guard self.hasRecorded, var call = self.call else { return }
        self.isServerReusable = !self.hasServerEnded && call.keepsConnection
        self.call = nil
        self.event.model?.waitedSeconds = call.waitedSeconds
        self.event.model?.hasReflectedSecret = call.hasReflectedSecret
        let isWhole = call.isAnswerComplete(atEnd: self.hasServerEnded)
        self.event.model?.usage = call.usage(isWhole: isWhole)
    }
}

extension TunnelConfiguration {
    /// Decides a call of a model by the rules for its host, its method and its path at the provider.
    func decide(_ call: ModelCall) throws(EgressRefusal) -> EgressEntry {
        switch self.rules.decide(call.target, listener: .model, method: call.method, path: call.path) {
        case .refuse(let refusal): throw refusal
        case .allow(let entry):
            if case .address(let address) = call.target.host { try self.check([address], for: entry, call.target) }
            return entry
        }
    }
}
