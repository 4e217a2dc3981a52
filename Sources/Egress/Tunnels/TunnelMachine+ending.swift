extension TunnelMachine {
    /// Whether the rest of the connection needs no decision: a tunnel whose first bytes were accepted. The server may then
    /// copy bytes without the machine, and reports their number to `relayed`.
    package var isTransparent: Bool { self.state == .relaying && self.request?.isTunnel == true }

    /// Counts bytes that the server has copied without the machine.
    package mutating func relayed(fromCaller: Int, fromServer: Int) {
        guard self.isTransparent else { return }
        self.event.bytesFromCaller += fromCaller
        self.event.bytesToCaller += fromServer
    }

    /// Bytes have arrived from the server.
    package mutating func receivedFromServer(_ bytes: [UInt8]) -> [TunnelAction] {
        switch self.state {
        case .relaying where self.call != nil: return self.relayAnswer(bytes)
        case .relaying:
            guard !self.hasServerEnded, !bytes.isEmpty else { return [] }
            self.event.bytesToCaller += bytes.count
            return [.answer(bytes)]
        case .connected:
            // TLS never begins with the server.
            return self.refuse(.opaqueTunnel, "the server sent bytes before a ClientHello")
        case .closed:
            // Bytes behind a whole answer: what else comes cannot be trusted.
            if !bytes.isEmpty { self.isServerReusable = false }
            return []
        case .readingHead, .readingBody, .checking, .resolving, .dialing, .admitting, .waiting: return []
        }
    }

    /// The server sends nothing more, or its connection has failed.
    package mutating func receivedEndFromServer() -> [TunnelAction] {
        switch self.state {
        case .relaying where self.call != nil: return self.endAnswer()
        case .relaying:
            guard !self.hasServerEnded else { return [] }
            self.hasServerEnded = true
            guard self.request?.isTunnel == true, !self.hasCallerEnded else { return self.close() }
            return [.endAnswer]
        case .connected: return self.recordDecision() + self.close()
        case .readingHead, .readingBody, .checking, .resolving, .dialing, .admitting, .waiting, .closed: return []
        }
    }

    /// The deadline of the present state has passed: the head, the answer of the resolver, the dial, the ClientHello, or the
    /// longest idle time.
    package mutating func hitDeadline() -> [TunnelAction] {
        let host = self.event.target.map(\.description) ?? "the server"
        switch self.state {
        case .readingHead: return self.refuse(.deadlinePassed, "the head did not arrive in time")
        case .readingBody: return self.refuse(.deadlinePassed, "the body did not arrive in time")
        case .resolving: return self.resolved(.timedOut)
        case .dialing: return self.refuse(.dialTimeout, "\(host) did not answer in time")
        case .connected: return self.refuse(.opaqueTunnel, "the tunnel had no complete ClientHello in time")
        case .checking: return self.refuse(.deadlinePassed, "the request could not be checked in time")
        case .relaying where self.call != nil, .waiting: return self.endLateCall()
        case .relaying: return self.close()
        case .admitting, .closed: return []
        }
    }

    /// Ends a call whose provider is silent for too long, or that takes too long. A caller without an answer gets one.
    private mutating func endLateCall() -> [TunnelAction] {
        self.refuse(.answerTimeout, "the provider did not answer in time")
    }

    /// Refuses the connection for a reason that the server around the machine knows, such as `too_many_tunnels`.
    package mutating func refuse(_ reason: EgressReason, _ detail: String) -> [TunnelAction] {
        self.refuse(EgressRefusal(reason, detail))
    }

    /// Records the refusal, answers it in the form that the caller can still read, and closes.
    mutating func refuse(_ refusal: EgressRefusal) -> [TunnelAction] {
        guard !self.isClosed else { return [] }
        var refusal = refusal
        refusal.target = refusal.target ?? self.event.target
        refusal.entry = refusal.entry ?? self.event.entry
        self.event.reason = refusal.reason
        self.event.entry = refusal.entry
        let answer: [UInt8]
        if self.event.status == nil, self.event.bytesToCaller == 0 {
            self.event.status = refusal.reason.status
            answer = refusal.response(toHead: self.event.method == .head, as: self.provider)
        } else {
            answer = self.state == .connected ? TLSAlert.record(for: refusal.reason) : []
        }
        self.event.phase = self.hasRecorded ? .ended : .decided
        self.endCall()
        self.state = .closed
        return [.record(self.event)] + (answer.isEmpty ? [] : [.answer(answer)]) + [.close]
    }

    /// Ends a connection that was not refused.
    mutating func close() -> [TunnelAction] {
        self.endCall()
        self.state = .closed
        guard self.hasRecorded else { return [.close] }
        self.event.phase = .ended
        return [.record(self.event), .close]
    }
}
