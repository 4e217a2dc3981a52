internal import DequeModule

/// What is asked of a supervisor, and how it ends.
extension SupervisorMachine {
    mutating func handle(_ call: Call, _ id: CallID, _ actions: inout [Action]) {
        switch call {
        case .start(let child): self.startChild(child, id, &actions)
        case .terminate(let name):
            guard let key = self.known(name, id, &actions) else { return }
            self.steps = [.stop(key), .reply(id, .done)]
        case .terminateReference(let reference):
            guard self.strategy == .simpleOneForOne else { return actions.append(.reply(id, .refused(.notFound))) }
            // An instance that is gone is ended enough.
            guard let child = self.children[reference.key], child.instance == reference.instance else {
                return actions.append(.reply(id, .done))
            }
            self.steps = [.stop(child.key), .reply(id, .done)]
        case .restart(let name):
            guard let key = self.idle(name, id, &actions) else { return }
            self.steps = [.start(key, .call(id, isNew: false))]
        case .delete(let name):
            guard let key = self.idle(name, id, &actions) else { return }
            self.forget(key, &actions)
            actions.append(.reply(id, .done))
        case .look: actions.append(.reply(id, .done))
        }
    }

    mutating func startChild(_ child: Child, _ id: CallID, _ actions: inout [Action]) {
        if self.strategy != .simpleOneForOne, let present = self.keys[child.id].flatMap({ self.children[$0] }) {
            let refusal: SupervisionErrorCode =
                switch present.phase {
                case .none, .restarting: .alreadyPresent
                case .starting, .running, .ended, .stopping: .alreadyStarted
                case .leaked: .leaked
                }
            return actions.append(.reply(id, .refused(refusal)))
        }
        self.insert(child)
        self.steps = [.start(child.key, .call(id, isNew: true))]
    }

    /// The key of a child that is known by its id; else the call is refused.
    func known(_ name: String, _ id: CallID, _ actions: inout [Action]) -> Key? {
        guard self.strategy != .simpleOneForOne else {
            actions.append(.reply(id, .refused(.simpleOneForOne)))
            return nil
        }
        guard let key = self.keys[name] else {
            actions.append(.reply(id, .refused(.notFound)))
            return nil
        }
        return key
    }

    /// The key of a known child that neither runs nor is about to; else the call is refused.
    func idle(_ name: String, _ id: CallID, _ actions: inout [Action]) -> Key? {
        guard let key = self.known(name, id, &actions), let child = self.children[key] else { return nil }
        let refusal: SupervisionErrorCode
        switch child.phase {
        case .none: return key
        case .restarting: refusal = .restarting
        case .leaked: refusal = .leaked
        case .starting, .running, .ended, .stopping: refusal = .running
        }
        actions.append(.reply(id, .refused(refusal)))
        return nil
    }

    // MARK: - The end

    mutating func beginEnding(_ end: End, _ actions: inout [Action]) {
        guard self.life == .new || self.life == .running else { return }
        self.life = .ending
        self.refuseCalls(&actions)
        // OTP would wait until a start has ended; here a child that never comes up cannot keep its supervisor.
        if case .start(let key, _) = self.waiting {
            self.waiting = .nothing
            self.stop(key, &actions)
        }
        self.steps =
            self.strategy == .simpleOneForOne
            ? [.stopAllAtOnce] : Deque(self.order.reversed().map { .stop($0) })
        self.steps.append(.finish(end))
    }

    mutating func killAll(_ actions: inout [Action]) {
        guard self.life != .finished else { return }
        self.life = .ending
        self.refuseCalls(&actions)
        self.waiting = .nothing
        var left: Set<Key> = []
        for key in self.orderedKeys.reversed() {
            guard let child = self.children[key], child.isAlive else { continue }
            if case .leaked = child.phase { continue }
            self.children[key]?.phase = .stopping
            left.insert(key)
            actions.append(.kill(key, instance: child.instance))
        }
        if !left.isEmpty { self.waiting = .stops(left) }
        self.steps = [.finish(.killed)]
    }

    /// A caller that waits for an answer, or would, receives that the supervisor is ending.
    mutating func refuseCalls(_ actions: inout [Action]) {
        var ids: [CallID] = []
        if case .start(_, .call(let id, _)) = self.waiting { ids.append(id) }
        for case .reply(let id, _) in self.steps { ids.append(id) }
        for case .start(_, .call(let id, _)) in self.steps { ids.append(id) }
        for case .call(let id, _) in self.inbox { ids.append(id) }
        self.steps = []
        self.inbox = []
        actions += ids.map { .reply($0, .refused(.notRunning)) }
    }
}
