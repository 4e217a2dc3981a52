package import ModelUsage

/// Calls of models, which come to the listener by a base URL: the whole body, the check, the admission with the credential,
/// then the way of every other request, and the provider's answer.
extension TunnelMachine {
    /// The name that the server's certificate must have; nil when the caller itself makes TLS, or there is none.
    package var serverNameForTLS: String? {
        guard let host = self.modelTarget?.host else { return nil }
        // Without the brackets of a URL.
        if case .address(let address) = host { return "\(address)" }
        return "\(host)"
    }

    /// The host and port of the model, from the first byte of its body on.
    package var modelTarget: EgressTarget? {
        self.event.model == nil ? nil : self.request?.target
    }

    /// The size of the body of a call, once its head has been read; nil before, and for every other request.
    package var bodyLength: Int? { self.call?.length }

    mutating func beginCall(
        _ head: RequestHead, _ rest: ArraySlice<UInt8>
    ) throws(EgressRefusal) -> [TunnelAction] {
        self.event.method = head.line.method
        self.event.listener = .model
        self.event.path = head.line.path?.normalized
        // From here on refusals have the form of the provider.
        self.provider = ModelCall.provider(head.line.path)
        let call = try ModelCall(head, self.configuration)
        self.event.target = call.target
        self.event.path = call.path.normalized
        self.event.entry = call.entry.id
        self.event.credential = call.entry.credential
        var model = EgressEvent.Model(provider: call.provider)
        model.hasForeignCredential = call.hasForeignCredential
        self.event.model = model
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
        switch result {
        case .success(let request): return self.begin(request)
        case .failure(let refusal): return self.refuse(refusal)
        }
    }

    /// Asks for the admission: the request is allowed.
    private mutating func begin(_ request: ModelRequest) -> [TunnelAction] {
        self.call?.request = request
        self.event.model?.name = request.model
        self.event.model?.isCharged = request.endpoint.isCharged
        self.event.model?.estimatedInput = request.estimatedInput
        self.event.model?.maximumOutput = request.maximumOutput
        self.event.model?.tier = request.tier
        if request.endpoint.isCharged { self.event.model?.reservation = self.callID }
        guard request.endpoint != .probe else { return self.answerProbe() }
        self.state = .admitting
        self.hasRecorded = true
        return [.admit(self.event)]
    }

    /// Clients ask whether the address answers; no provider is asked for that.
    private mutating func answerProbe() -> [TunnelAction] {
        self.event.status = 200
        // Nothing is sent, so that no key is needed.
        self.event.credential = nil
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        return self.recordDecision() + [.answer(Array(answer.utf8))] + self.close()
    }

    /// The trail has the decision, and the call its budget: the provider is reached. `credential` is nil for an entry
    /// without one.
    package mutating func admitted(credential: String?) -> [TunnelAction] {
        guard self.state == .admitting, let target = self.call?.target else { return [] }
        self.call?.admit(credential: credential)
        return self.reach(target)
    }

    /// The provider is connected: the request goes out.
    mutating func send() -> [TunnelAction] {
        self.state = .relaying
        guard let bytes = self.call?.send() else { return self.close() }
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
        return self.event.address.map { self.dial([$0]) } ?? self.reach(call.target)
    }

    /// A call on a connection that was used before is under way for so long that the provider may work on it: it is not made
    /// again.
    package mutating func forbidRepeat() { self.isReused = false }

    /// The provider has closed the connection.
    mutating func endAnswer() -> [TunnelAction] {
        self.hasServerEnded = true
        if self.isReused, self.call?.hasAnswerBegun == false {
            // The server had closed it before it could see the call: once more on a connection of its own.
            self.isReused = false
            self.mayReuseConnection = false
            self.hasServerEnded = false
            self.state = .waiting
            return [.wait(seconds: 0)]
        }
        guard self.call?.answerStatus != nil else {
            return self.refuse(.answerMalformed, "the provider closed the connection without an answer")
        }
        let held = self.call?.heldAtCut() ?? []
        self.event.bytesToCaller += held.count
        return (held.isEmpty ? [] : [.answer(held)]) + self.close()
    }

    /// Refuses a call whose admission was not asked for yet, although it is the next action: there is no room for its body.
    package mutating func refuseBody(_ detail: String) -> [TunnelAction] {
        self.hasRecorded = false
        return self.refuse(.tooManyTunnels, detail)
    }

    /// Gives the call up, and puts what it has used into the event of its end.
    mutating func endCall() {
        guard var call = self.call else { return }
        // Its body is not kept while the caller reads the answer.
        self.call = nil
        guard self.hasRecorded else { return }
        self.isServerReusable = !self.hasServerEnded && call.keepsConnection
        self.event.model?.waitedSeconds = call.waitedSeconds
        self.event.model?.hasReflectedSecret = call.hasReflectedSecret
        let isWhole = call.isAnswerComplete(atEnd: self.hasServerEnded)
        // The provider goes on with a call that was given up here, and charges for it.
        let isAbandoned = self.hasCallerEnded || self.event.reason == .answerTimeout
        self.event.model?.usage = call.usage(isWhole: isWhole, isAbandoned: isAbandoned)
    }
}

extension TunnelConfiguration {
    /// Decides a call of a model by every denial, and by the entry of its service alone: another service may have the same
    /// host under other conditions.
    func decide(_ call: ModelCall) throws(EgressRefusal) -> EgressEntry {
        switch self.rules.decide(call.target, method: call.method, path: call.path, for: call.entry) {
        case .refuse(let refusal): throw refusal
        case .allow(let entry):
            if case .address(let address) = call.target.host { try self.check([address], for: entry, call.target) }
            return entry
        }
    }
}
