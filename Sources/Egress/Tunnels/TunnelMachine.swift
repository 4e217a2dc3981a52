internal import ModelUsage

/// Decides one connection of a sandbox's proxy listener: head → rules → resolver → addresses → dial → ClientHello → relay.
///
/// A pure state machine. It does no I/O, knows no clock, and keeps bounded buffers. Each input returns the actions for the
/// server, in order. A connection carries one request: a tunnel, or one plain HTTP request with `connection: close`. Nothing
/// is resolved or dialed for a request that the bytes so far or the rules refuse.
package struct TunnelMachine: Hashable, Sendable {
    /// How many bytes of the caller are kept while the resolver and the dial are awaited, beyond one read.
    package static let pendingLimit = 256 * 1024

    enum State: Hashable {
        case readingHead
        /// The body of a call of a model is incomplete.
        case readingBody
        /// A large request of a model is checked.
        case checking
        case resolving
        case dialing(rest: [EgressAddress])
        /// The server is connected; in a TLS tunnel the ClientHello may be incomplete.
        case connected
        /// A call of a model waits for its credential.
        case admitting
        /// A call waits until the provider takes it again.
        case waiting
        case relaying
        case closed
    }

    struct Request: Hashable {
        let line: RequestLine
        let entry: EgressEntry
        /// What is reached: what the caller names, or the host of a model.
        let target: EgressTarget
        var isTunnel: Bool { self.line.method == .connect }
    }

    let configuration: TunnelConfiguration
    var state = State.readingHead
    private var reader = RequestHeadReader()
    var request: Request?
    /// Names the reservation of a call, also for an end that comes before its admission.
    let callID: String
    /// Whose form refusals have; nil for what is no call of a model.
    var provider: ModelProvider?
    /// The call of a model; nil for every other request.
    var call: ModelCall?
    private var content: TunnelContent?
    private var pending: [UInt8] = []
    var event = EgressEvent()
    var hasCallerEnded = false
    var hasServerEnded = false
    var hasRecorded = false
    /// The connection to the server was used before.
    var isReused = false
    /// Whether a connection that was used before may be used.
    package internal(set) var mayReuseConnection = true
    /// Whether the connection to the server can be used again: after the end.
    package internal(set) var isServerReusable = false

    /// Starts a connection under one generation of the rules. `callID` is unique among calls of models.
    package init(_ configuration: TunnelConfiguration, callID: String = "") {
        self.configuration = configuration
        self.callID = callID
    }

    /// The status that the listener has sent; nil if none.
    package var status: Int? { self.event.status }

    /// The address that is dialed or connected; nil before.
    package var address: EgressAddress? { self.event.address }

    /// Whether the connection has ended. Further inputs return no actions.
    package var isClosed: Bool { self.state == .closed }

    /// Whether the server should read from the caller now. If it reads nevertheless, the machine keeps a bounded number of
    /// bytes and refuses more.
    package var wantsCallerBytes: Bool {
        switch self.state {
        case .readingHead, .readingBody, .connected, .relaying: !self.hasCallerEnded
        case .checking, .resolving, .dialing, .admitting, .waiting, .closed: false
        }
    }

    /// Bytes have arrived from the caller.
    package mutating func received(_ bytes: [UInt8]) -> [TunnelAction] {
        guard !self.isClosed, !self.hasCallerEnded, !bytes.isEmpty else { return [] }
        do throws(EgressRefusal) {
            if self.state == .readingBody { return try self.readBody(bytes[...]) }
            guard self.state == .readingHead else { return try self.readContent(bytes[...]) }
            guard let (head, used) = try self.reader.read(bytes[...]) else { return [] }
            return try self.begin(head, bytes.dropFirst(used))
        } catch {
            return self.refuse(error)
        }
    }

    /// The caller sends nothing more.
    package mutating func receivedEndOfInput() -> [TunnelAction] {
        guard !self.isClosed, !self.hasCallerEnded else { return [] }
        self.hasCallerEnded = true
        if self.state == .readingHead {
            guard !self.reader.isEmpty else { return self.close() }
            return self.refuse(EgressRefusal(.incompleteRequest, "the input ends before the head is complete"))
        }
        if self.state == .readingBody {
            return self.refuse(EgressRefusal(.incompleteRequest, "the input ends before the body is complete"))
        }
        // No client of a model ends its input before it has the answer, unless it leaves.
        guard self.call == nil else { return self.close() }
        if let problem = self.content?.problemAtEnd { return self.refuse(problem) }
        switch self.state {
        case .connected: return self.recordDecision() + self.close()
        case .relaying:
            if self.hasServerEnded { return self.close() }
            return self.request?.isTunnel == true ? [.endForward] : []
        case .readingHead, .readingBody, .checking, .resolving, .dialing, .admitting, .waiting, .closed: return []
        }
    }

    /// The resolver has answered.
    package mutating func resolved(_ resolution: EgressResolution) -> [TunnelAction] {
        guard self.state == .resolving, let request = self.request else { return [] }
        let target = request.target
        switch resolution {
        case .addresses(let addresses) where !addresses.isEmpty:
            do throws(EgressRefusal) {
                try self.configuration.check(addresses, for: request.entry, target)
            } catch {
                return self.refuse(error)
            }
            return self.dial(addresses.prefix(TunnelConfiguration.dialLimit))
        case .addresses, .failed: return self.refuse(.resolutionFailed, "\(target.host) has no usable address")
        case .timedOut: return self.refuse(.resolutionTimeout, "the addresses of \(target.host) did not arrive in time")
        }
    }

    /// The attempt to connect has ended. The next address is tried after a failure.
    package mutating func dialed(_ result: EgressDialResult) -> [TunnelAction] {
        guard case .dialing(let rest) = self.state, let request = self.request else { return [] }
        let target = request.target
        switch result {
        case .connected:
            self.isReused = false
            return self.call == nil ? self.connect(request) : self.send()
        case .reused(let address):
            self.isReused = true
            self.event.address = address
            return self.send()
        case .untrusted:
            return self.refuse(.certificateNotAccepted, "\(target) has no certificate that is accepted for its name")
        case .failed, .timedOut:
            guard rest.isEmpty else { return self.dial(rest[...]) }
            guard result == .failed else { return self.refuse(.dialTimeout, "\(target) did not answer in time") }
            return self.refuse(.dialFailed, "\(target) does not accept connections")
        }
    }

    /// Decides the request, checks what has arrived after the head, and only then asks for addresses.
    private mutating func begin(
        _ head: RequestHead, _ rest: ArraySlice<UInt8>
    ) throws(EgressRefusal) -> [TunnelAction] {
        let line = head.line
        // Its buffer is not needed for the rest of the connection.
        self.reader = RequestHeadReader()
        guard !line.isForListener else { return try self.beginCall(head, rest) }
        self.event.target = line.target
        self.event.method = line.method
        self.event.listener = line.method == .connect ? .tunnel : .http
        self.event.path = line.path?.normalized
        let entry = try self.configuration.decide(line)
        self.event.entry = entry.id
        self.event.protocolKind = entry.protocolKind
        self.event.credential = entry.credential
        self.request = Request(line: line, entry: entry, target: line.target)
        self.content = TunnelContent(head, entry)
        if line.method != .connect { self.pending = head.forwarded }
        self.state = .resolving
        _ = try self.readContent(rest)
        return self.reach(line.target)
    }

    /// Asks for the addresses of the target, or dials it when it is one.
    mutating func reach(_ target: EgressTarget) -> [TunnelAction] {
        self.state = .resolving
        switch target.host {
        case .name(let name): return [.resolve(name)]
        case .address(let address): return self.dial([address])
        }
    }

    mutating func dial(_ addresses: ArraySlice<EgressAddress>) -> [TunnelAction] {
        guard let first = addresses.first, let request = self.request else { return [] }
        self.state = .dialing(rest: Array(addresses.dropFirst()))
        self.event.address = first
        return [.dial(first, port: request.target.port)]
    }

    private mutating func connect(_ request: Request) -> [TunnelAction] {
        self.state = .connected
        var actions: [TunnelAction] = []
        if request.isTunnel {
            self.event.status = 200
            actions.append(.answer(Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)))
        }
        if self.content?.isChecked == true { actions += self.relay() }
        guard self.hasCallerEnded else { return actions }
        if self.state == .connected { return actions + self.recordDecision() + self.close() }
        return request.isTunnel ? actions + [.endForward] : actions
    }

    /// Records the decision, then forwards what is pending.
    private mutating func relay() -> [TunnelAction] {
        let actions = self.state == .relaying ? [] : self.recordDecision()
        self.state = .relaying
        guard !self.pending.isEmpty else { return actions }
        let bytes = self.pending
        self.pending = []
        self.event.bytesFromCaller += bytes.count
        return actions + [.forward(bytes)]
    }

    /// Checks bytes after the head and keeps or forwards those that belong to the request.
    private mutating func readContent(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> [TunnelAction] {
        let isWaiting = self.state != .connected && self.state != .relaying
        guard !isWaiting || self.pending.count <= Self.pendingLimit else {
            throw EgressRefusal(.bufferExceeded, "more bytes arrived before the connection than are kept")
        }
        // The name is part of the event also when it is the reason of a refusal.
        defer { self.event.serverName = self.content?.serverName }
        guard let kept = try self.content?.read(bytes) else { return [] }
        self.pending += kept
        self.event.serverName = self.content?.serverName
        return isWaiting || self.content?.isChecked != true ? [] : self.relay()
    }

    mutating func recordDecision() -> [TunnelAction] {
        guard !self.hasRecorded else { return [] }
        self.hasRecorded = true
        return [.record(self.event)]
    }
}
