internal import Domain
internal import ShimProtocol

/// What owners, viewers and the pane are sent.
extension TerminalSession {
    /// Bytes of events that are kept in their file.
    private static let eventFileLimit = 16 * 1024 * 1024

    /// Sends receipts to every connection that has identified itself.
    mutating func send(_ receipts: [MessageLedger.Receipt]) {
        for receipt in receipts {
            for index in self.clients.indices where self.clients[index].role != .stranger {
                self.clients[index].send(.receipt(receipt))
            }
        }
    }

    mutating func readEvents() {
        switch POSIX.read(self.descriptors.eventPipe) {
        case .bytes(let bytes):
            for event in self.events.take(bytes, at: self.now() - self.startedAt) {
                let line =
                    Array("{\"n\":\(event.number),\"ms\":\(event.time),\"event\":".utf8) + event.line
                    + Array("}\n".utf8)
                self.eventBytes += line.count
                // The file is a copy for later readers; followers get the event in any case.
                if self.eventBytes <= Self.eventFileLimit { _ = POSIX.writeAll(self.descriptors.eventFile, line) }
            }
        case .wouldBlock: break
        case .end: self.isEventPipeOpen = false
        }
    }

    /// Sends the pane and the watchers as much of the log as each takes now.
    mutating func pumpViews() {
        while self.isPaneOpen, self.paneOffset < self.recorder.length {
            let (place, bytes) = self.recorder.read(from: self.paneOffset, limit: 32 * 1024)
            self.paneOffset = place
            guard let count = POSIX.write(self.descriptors.paneOutput, bytes[...]) else {
                self.isPaneOpen = false
                break
            }
            if count == 0 { break }
            self.paneOffset += UInt64(count)
        }
        for index in self.clients.indices {
            while let offset = self.clients[index].watchOffset, offset < self.recorder.length,
                self.clients[index].outbound.count < SocketClient.outboundLimit, !self.clients[index].isGone
            {
                let (place, bytes) = self.recorder.read(from: offset, limit: 32 * 1024)
                if bytes.isEmpty { break }
                self.clients[index].send(.output(offset: place, bytes: bytes))
                self.clients[index].watchOffset = place + UInt64(bytes.count)
                self.clients[index].flush()
            }
            self.pumpEvents(index)
            self.sendExitRecord(index)
            self.clients[index].flush()
        }
    }

    /// Sends as many events as the reader takes now. A reader that is too slow misses the oldest and stays connected.
    private mutating func pumpEvents(_ index: Int) {
        guard let last = self.clients[index].lastEvent else { return }
        for event in self.events.after(last) {
            guard self.clients[index].outbound.count < SocketClient.outboundLimit, !self.clients[index].isGone else {
                return
            }
            self.clients[index].send(.event(event))
            self.clients[index].lastEvent = event.number
        }
    }

    /// Sends the exit record once; to a watcher only after all of the output.
    mutating func sendExitRecord(_ index: Int) {
        guard let record = self.record, self.clients[index].role != .stranger, !self.clients[index].hasExitRecord else {
            return
        }
        if let offset = self.clients[index].watchOffset, offset < self.recorder.length { return }
        if self.clients[index].role == .viewer, self.clients[index].watchOffset == nil { return }
        self.clients[index].hasExitRecord = true
        self.clients[index].send(.exited(record))
    }

    /// Viewers of the pane are read-only. What arrives from the pane is tmux's own answers to queries, which the shim has
    /// answered, or keys that are not the agent's input, which is audited.
    mutating func discardPaneInput() {
        if case .end = POSIX.read(self.descriptors.paneInput) { self.isPaneOpen = false }
    }
}
