internal import Egress
internal import NIOCore
internal import NIOPosix
internal import TransportSecurity

/// What takes time: the audit trail, the resolver, the dial, and the deadlines of each.
extension TunnelHandler {
    func record(_ event: EgressEvent) {
        self.isAwaitingAudit = true
        self.surroundings.record(event, after: self.loop.now - self.startedAt, on: self.loop)
            .assumeIsolated().whenComplete { self.recorded($0) }
    }

    private func recorded(_ result: Result<EgressAcknowledgement, any Error>) {
        self.isAwaitingAudit = false
        switch result {
        case .success(let acknowledgement):
            if let refusal = acknowledgement.refusal {
                // Its row is the one that the node has written.
                self.refuseUnrecorded(refusal.reason, refusal.message)
            } else {
                self.actions += self.machine.admitted(credential: acknowledgement.credential)
            }
        case .failure(let error):
            // The refusal cannot be recorded either. What was not sent never reached the node, and needs no end there.
            self.refuseUnrecorded(
                .auditUnavailable, "the audit trail cannot be written now", settles: !(error is LaunchRecorder.Late))
        }
        self.performActions()
    }

    /// Refuses the request without waiting for a row. Nothing of what was to follow is done.
    private func refuseUnrecorded(_ reason: EgressReason, _ message: String, settles: Bool = false) {
        guard !self.machine.isClosed else { return }
        self.actions = self.machine.refuse(reason, message).filter { action in
            guard case .record(let event) = action else { return true }
            // The node may have reserved for the call, although its answer came too late.
            if settles, event.phase == .ended {
                _ = self.surroundings.record(event, after: self.loop.now - self.startedAt, on: self.loop)
            }
            return false
        }
    }

    func forward(_ bytes: [UInt8]) {
        self.forwardedAt = self.loop.now
        self.setIdleDeadline()
        if self.machine.modelTarget != nil, self.callDeadline == nil {
            self.callDeadline = self.loop.assumeIsolated().scheduleTask(in: self.surroundings.limits.call) {
                self.enqueue(self.machine.hitDeadline())
            }
        }
        guard let upstream = self.upstream else { return }
        self.unsent += 1
        upstream.writeAndFlush(ByteBuffer(bytes: bytes)).assumeIsolated().whenComplete { _ in self.unsent -= 1 }
    }

    func check(_ check: ModelCheck) {
        self.isChecking = true
        self.setDeadline(self.surroundings.limits.check)
        self.surroundings.pool.runIfActive(eventLoop: self.loop) { check.run() }
            .assumeIsolated().whenComplete { result in
                self.isChecking = false
                self.giveBody()
                switch result {
                case .success(let checked): self.enqueue(self.machine.checked(checked))
                case .failure:
                    self.refuseUnrecorded(.auditUnavailable, "the server is ending")
                    self.performActions()
                }
            }
    }

    func resolve(_ name: HostName) {
        self.setDeadline(self.surroundings.limits.resolution)
        self.surroundings.addresses(of: name, on: self.loop).assumeIsolated().whenSuccess { resolution in
            self.enqueue(self.machine.resolved(resolution))
        }
    }

    /// What connections to the server of a model are kept under; nil for every other request.
    private var poolKey: UpstreamPool.Key? {
        self.machine.modelTarget.map {
            UpstreamPool.Key(workspace: self.surroundings.caller.workspace, host: $0.host, port: $0.port)
        }
    }

    /// Closes the connection to the server, or keeps it for the next call of a model.
    func leaveUpstream() {
        guard let upstream = self.upstream else { return }
        self.upstream = nil
        // One whose request is still being written would mix it with the next.
        if self.machine.isServerReusable, self.unsent == 0, let key = self.poolKey, let handler = self.upstreamHandler,
            let address = self.machine.address, let pool = self.surroundings.upstreams.pool(of: self.loop)
        {
            handler.detach()
            pool.put(key, UpstreamPool.Idle(channel: upstream, handler: handler, address: address))
        } else {
            upstream.close(promise: nil)
        }
        self.upstreamHandler = nil
    }

    func dial(_ address: EgressAddress, _ port: UInt16) {
        if self.machine.mayReuseConnection, let key = self.poolKey,
            let idle = self.surroundings.upstreams.pool(of: self.loop)?.take(key)
        {
            idle.handler.attach(self)
            self.upstreamHandler = idle.handler
            self.upstream = idle.channel
            self.setDeadline(self.surroundings.limits.head)
            return self.enqueue(self.machine.dialed(.reused(idle.address)))
        }
        let limits = self.surroundings.limits
        // All addresses together; each attempt has a limit of its own.
        let until = self.dialsUntil ?? self.loop.now + limits.dial * 3
        self.dialsUntil = until
        self.setDeadline(max(until - self.loop.now, .milliseconds(1)))
        let contexts = self.surroundings.contexts
        let tls = self.machine.serverNameForTLS.map {
            TLSConfiguration(
                serverName: $0, authorityFile: self.surroundings.authorityFile, minimumVersion: .tls12)
        }
        let target = self.surroundings.overrides.target(for: address, port: port)
        let socketAddress: SocketAddress
        do {
            socketAddress = try SocketAddress(ipAddress: "\(target.address)", port: Int(target.port))
        } catch {
            return self.enqueue(self.machine.dialed(.failed))
        }
        let bound = NIOLoopBound(self, eventLoop: self.loop)
        ClientBootstrap(group: self.loop)
            .connectTimeout(limits.dial)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            TLSClientHandler(
                                configuration: tls, contexts: contexts, handshakeTimeout: limits.dial))
                    }
                    let handler = UpstreamHandler(bound.value, awaitsTLS: tls != nil)
                    bound.value.upstreamHandler = handler
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(to: socketAddress).assumeIsolated().whenComplete {
                self.dialed($0, isRedirected: target.address != address)
            }
    }

    private func dialed(_ result: Result<any Channel, any Error>, isRedirected: Bool) {
        switch result {
        case .success(let channel):
            guard !self.machine.isClosed, self.upstream == nil else { return channel.close(promise: nil) }
            // The host may have got the address after its addresses were read. Nobody else is reached from itself.
            if !isRedirected, let address = channel.localAddress?.ipAddress, address == channel.remoteAddress?.ipAddress
            {
                channel.close(promise: nil)
                return self.enqueue(self.machine.refuse(.addressNotAllowed, "\(address) is an address of this host"))
            }
            self.upstream = channel
            // With TLS it is connected once the certificate was accepted.
            guard self.machine.serverNameForTLS == nil else { return channel.read() }
            self.connected()
        case .failure(let error):
            var isTimeout = false
            if case .connectTimeout? = error as? ChannelError { isTimeout = true }
            self.enqueue(self.machine.dialed(isTimeout ? .timedOut : .failed))
        }
    }

    /// The server can be written to.
    func connected() {
        self.setDeadline(self.surroundings.limits.head)
        self.enqueue(self.machine.dialed(.connected))
        // A tunnel without TLS needs no ClientHello.
        if self.machine.isTransparent { self.setIdleDeadline() }
    }

    /// The server could not prove its name, or there was no handshake.
    func failedHandshake(isUntrusted: Bool) {
        self.upstream = nil
        self.enqueue(self.machine.dialed(isUntrusted ? .untrusted : .failed))
    }

    /// Closes the connection to the server, whose end is then of no interest, and goes on after a while.
    func wait(_ seconds: UInt64) {
        self.deadline?.cancel()
        self.upstreamHandler?.detach()
        self.leaveUpstream()
        self.dialsUntil = nil
        // Not all that wait come back at the same moment.
        let jitter = seconds == 0 ? 0 : Int64.random(in: 0...250)
        self.deadline = self.loop.assumeIsolated().scheduleTask(
            in: .seconds(Int64(clamping: seconds)) + .milliseconds(jitter)
        ) {
            self.enqueue(self.machine.waited())
        }
    }

    // MARK: - Deadlines

    func setDeadline(_ time: TimeAmount) {
        self.deadline?.cancel()
        self.deadline = self.loop.assumeIsolated().scheduleTask(in: time) {
            self.enqueue(self.machine.hitDeadline())
        }
    }

    /// Ends the connection once no byte has come for the idle time.
    func setIdleDeadline() {
        self.deadline?.cancel()
        let limit = self.surroundings.limits.idle
        let left = limit - (self.loop.now - self.lastActivity)
        self.deadline = self.loop.assumeIsolated().scheduleTask(in: max(left, .milliseconds(1))) {
            guard self.loop.now - self.lastActivity >= limit else { return self.setIdleDeadline() }
            self.enqueue(self.machine.hitDeadline())
        }
    }
}
