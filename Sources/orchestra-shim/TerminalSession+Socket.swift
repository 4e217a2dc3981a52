internal import CLinux
internal import Domain
internal import ShimProtocol

/// What owners and viewers ask of the shim over its socket.
extension TerminalSession {
    mutating func accept() {
        let fd = orc_accept_same_user(self.listener)
        if fd >= 0 { self.clients.append(SocketClient(fd: fd)) }
    }

    mutating func serve(_ index: Int) {
        for frame in self.clients[index].receive() { self.handle(frame, from: index) }
        self.clients[index].flush()
    }

    private mutating func handle(_ frame: ShimFrame, from index: Int) {
        if case .hello(let token, let epoch) = frame {
            self.greet(index, token: token, epoch: epoch)
            return
        }
        switch (frame, self.clients[index].role) {
        case (.watch(let offset), .owner), (.watch(let offset), .viewer): self.clients[index].watchOffset = offset
        case (.input(let id, let bytes), .owner): self.enqueue(id, bytes, from: index)
        case (.prompt(let id, let text), .owner):
            self.enqueue(id, TypedText.bytes(text, isPasteMarked: self.pasteMode.isMarked), from: index)
        case (.resize(let columns, let rows), .owner): _ = orc_pty_resize(self.master, columns, rows)
        case (.stop, .owner): self.stop()
        case (.message(let key, let text), .owner), (.message(let key, let text), .viewer):
            self.clients[index].send(.receipt(self.take(key, text)))
        case (.freeze, .owner), (.freeze, .viewer):
            guard let count = self.launcher.freeze() else {
                return self.refuse(index, "some processes would not stand still; stop the agent instead")
            }
            self.isFrozen = true
            self.clients[index].send(.done(count: UInt32(clamping: count)))
        case (.thaw, .owner), (.thaw, .viewer):
            self.isFrozen = false
            self.clients[index].send(.done(count: UInt32(clamping: self.launcher.thaw())))
        case (.follow(let number), .owner), (.follow(let number), .viewer):
            self.clients[index].lastEvent = number
        case (.reap, .owner): self.isReaped = self.record != nil
        default: self.refuse(index, "this connection may not ask for that")
        }
    }

    private mutating func greet(_ index: Int, token: [UInt8], epoch: UInt64) {
        guard isEqualInConstantTime(token, self.spec.token) else { return self.refuse(index, "the token is wrong") }
        if epoch == 0 {
            self.clients[index].role = .viewer
        } else {
            guard epoch >= self.epoch else { return self.refuse(index, "a newer owner has come") }
            self.epoch = epoch
            for other in self.clients.indices where self.clients[other].role == .owner && other != index {
                self.refuse(other, "a newer owner has come")
            }
            self.clients[index].role = .owner
        }
        self.clients[index].send(.welcome(launcherPID: self.launcher.pid, logLength: self.recorder.length))
        if !self.isPaneOpen, epoch > 0 { self.clients[index].send(.viewLost) }
        self.tellEnd(index)
    }

    private mutating func refuse(_ index: Int, _ reason: String) {
        self.clients[index].send(.refused(reason: reason))
        self.clients[index].flush()
        self.clients[index].drop()
    }

    private mutating func enqueue(_ id: UInt64, _ bytes: [UInt8], from index: Int) {
        guard self.exit == nil else { return }  // the end itself is told in a moment
        // What was typed before is answered, whatever the terminal would say to it now.
        switch self.input.knowledge(of: id) {
        case .waiting: return
        case .written: return self.clients[index].send(.written(id: id))
        case .new: break
        }
        if let problem = self.lineProblem(bytes) {
            return self.clients[index].send(.inputRefused(id: id, reason: problem))
        }
        guard self.input.add(bytes, of: .prompt(id)) else {
            return self.clients[index].send(.inputRefused(id: id, reason: InputQueue.fullness))
        }
    }

    /// Puts a message in line; the receipt of what is known of it.
    private mutating func take(_ key: [UInt8], _ text: String) -> MessageLedger.Receipt {
        if let known = self.ledger.known(key) { return known }
        let offset = self.recorder.length
        func refused(_ reason: String) -> MessageLedger.Receipt {
            MessageLedger.Receipt(key: key, stage: .refused, offset: offset, reason: reason)
        }
        guard self.exit == nil, self.isTerminalOpen else { return refused("the agent has ended") }
        let bytes = TypedText.bytes(TypedText.cleaned(text), isPasteMarked: self.pasteMode.isMarked)
        guard self.input.hasRoom(for: bytes.count) else { return refused(InputQueue.fullness) }
        if let problem = self.lineProblem(bytes) { return refused(problem) }
        guard let receipt = self.ledger.queue(key, at: offset) else {
            return refused("\(MessageLedger.limit) messages wait for the agent already")
        }
        _ = self.input.add(bytes, of: .message(key))
        return receipt
    }

    /// A line that the terminal would cut without a word.
    private func lineProblem(_ bytes: [UInt8]) -> String? {
        let longest = TypedText.longestLine(of: bytes)
        guard longest > TypedText.longestLine, orc_pty_is_in_line_mode(self.master) == 1 else { return nil }
        return
            "a line of \(longest) bytes: the terminal is in line mode and takes \(TypedText.longestLine); expected shorter lines, or a program that reads every byte"
    }
}
