internal import CLinux
internal import Domain
internal import Glibc
internal import ShimProtocol

/// The requests of owners and viewers on the shim's socket.
extension TerminalSession {
    mutating func accept() {
        let fd = orc_accept_same_user(self.descriptors.listener)
        if fd >= 0 { self.clients.append(SocketClient(fd: fd, since: self.now())) }
    }

    mutating func serve(_ index: Int) {
        for frame in self.clients[index].receive() { self.handle(frame, from: index) }
        self.clients[index].flush()
    }

    private mutating func handle(_ frame: ShimFrame, from index: Int) {
        if case .hello(let token, let epoch) = frame {
            return self.greet(index, token: token, epoch: epoch)
        }
        switch (frame, self.clients[index].role) {
        case (_, .stranger): self.refuse(index, "the connection has not sent the token")
        case (.watch(let offset), _): self.clients[index].watchOffset = offset
        case (.follow(let number), _): self.clients[index].lastEvent = number
        case (.message(let key, let text), _): self.clients[index].send(.receipt(self.take(key, text: text)))
        case (.keys(let key, let names), _): self.clients[index].send(.receipt(self.take(key, keys: names)))
        case (.resize(let columns, let rows), _):
            if let problem = self.resize(columns: columns, rows: rows) { self.refuse(index, problem) }
        case (.freeze, _): self.freeze(index)
        case (.thaw, _):
            self.isFrozen = false
            self.clients[index].send(.done(count: UInt32(clamping: self.program.tree.thaw())))
        case (.input(let id, let bytes), .owner): self.enqueue(id, .bytes(bytes), from: index)
        case (.prompt(let id, let text), .owner): self.enqueue(id, .text(text), from: index)
        case (.stop, .owner): self.stop()
        case (.reap, .owner): self.isReaped = self.record != nil
        default: self.refuse(index, "only the agent's owner may send this request")
        }
    }

    private mutating func greet(_ index: Int, token: [UInt8], epoch: UInt64) {
        guard isEqualInConstantTime(token, self.spec.token) else { return self.refuse(index, "the token is wrong") }
        if epoch == 0 {
            guard self.clients[index].role == .viewer || ConnectionLimits.hasRoomForViewer(self.clients) else {
                return self.refuse(index, "\(ConnectionLimits.viewers) viewers are connected already")
            }
            self.clients[index].role = .viewer
        } else {
            guard epoch >= self.epoch else { return self.refuse(index, "a newer owner has come") }
            self.epoch = epoch
            for other in self.clients.indices where self.clients[other].role == .owner && other != index {
                self.refuse(other, "a newer owner has come")
            }
            self.clients[index].role = .owner
        }
        self.clients[index].send(
            .welcome(launcherPID: self.program.tree.pid, logLength: self.recorder.length))
        if let size = self.sizes.changes.last {
            self.clients[index].send(.resized(columns: size.columns, rows: size.rows))
        }
        if !self.isPaneOpen, epoch > 0 { self.clients[index].send(.viewLost) }
        self.sendExitRecord(index)
    }

    private mutating func freeze(_ index: Int) {
        guard let count = self.program.tree.freeze() else {
            return self.refuse(index, "some processes would not stand still; stop the agent instead")
        }
        self.isFrozen = true
        self.clients[index].send(.done(count: UInt32(clamping: count)))
    }

    private mutating func refuse(_ index: Int, _ reason: String) {
        self.clients[index].send(.refused(reason: reason))
        self.clients[index].flush()
        self.clients[index].drop()
    }

    // MARK: - Input

    private mutating func enqueue(_ id: UInt64, _ content: InputQueue.Content, from index: Int) {
        guard !self.program.hasExited else { return }  // the exit record follows in a moment
        // What was typed before is answered, whatever the terminal would do with it now.
        switch self.input.knowledge(of: id) {
        case .waiting: return
        case .written: return self.clients[index].send(.written(id: id))
        case .new: break
        }
        if let problem = self.problem(of: content) {
            return self.clients[index].send(.inputRefused(id: id, reason: problem))
        }
        if !self.input.add(content, of: .prompt(id)) {
            self.clients[index].send(.inputRefused(id: id, reason: InputQueue.fullness))
        }
    }

    private mutating func take(_ key: [UInt8], text: String) -> MessageLedger.Receipt {
        do throws(DomainError) {
            return self.take(key, .text(try TypedText.checked(text)))
        } catch {
            return self.refusal(of: key, error.message)
        }
    }

    private mutating func take(_ key: [UInt8], keys names: [String]) -> MessageLedger.Receipt {
        do throws(DomainError) {
            return self.take(key, .keys(try TerminalKey.list(names)))
        } catch {
            return self.refusal(of: key, error.message)
        }
    }

    /// Queues a message; the receipt of the stage that it has reached.
    private mutating func take(_ key: [UInt8], _ content: InputQueue.Content) -> MessageLedger.Receipt {
        if let known = self.ledger.known(key) {
            guard !self.ledger.isOther(key, content: content.hashValue) else {
                return self.refusal(of: key, "the message ID was used for another message; use a new one")
            }
            return known
        }
        guard !self.program.hasExited, self.isTerminalOpen else { return self.refusal(of: key, "the agent has ended") }
        guard self.input.hasRoom(for: content) else { return self.refusal(of: key, InputQueue.fullness) }
        if let problem = self.problem(of: content) { return self.refusal(of: key, problem) }
        guard let receipt = self.ledger.queue(key, content: content.hashValue, at: self.recorder.length) else {
            return self.refusal(of: key, "\(MessageLedger.limit) messages wait for the agent already")
        }
        _ = self.input.add(content, of: .message(key))
        return receipt
    }

    private func refusal(of key: [UInt8], _ reason: String) -> MessageLedger.Receipt {
        MessageLedger.Receipt(key: key, stage: .refused, offset: self.recorder.length, reason: reason)
    }

    /// Why the terminal would not deliver this as it is: control characters in text, or a line that the kernel would cut
    /// without an error.
    private func problem(of content: InputQueue.Content) -> String? {
        let bytes: [UInt8]
        switch content {
        case .keys: return nil
        case .bytes(let raw): bytes = raw
        case .text(let text):
            bytes = text
            if let name = TypedText.controlCharacter(in: String(decoding: text, as: UTF8.self)) {
                return "the text contains the control character \(name)"
            }
        }
        let longest = TypedText.longestLine(of: bytes)
        guard longest > TypedText.longestLine, orc_pty_is_in_line_mode(self.descriptors.master) == 1 else { return nil }
        return
            "a line of \(longest) bytes: the terminal is in line mode and takes \(TypedText.longestLine); expected shorter lines, or a program that reads every byte"
    }
}
