/// What a supervisor's machine keeps of a child, its events and its actions.
extension SupervisorMachine {
    struct Child: Hashable, Sendable {
        enum Phase: Hashable {
            /// Not running and not about to.
            case none
            case starting
            case running(since: Duration)
            /// It has ended and its message waits in the inbox.
            case ended(ChildExit, after: Duration)
            /// A step waits for its end.
            case stopping
            /// A restart is due, at the inbox's turn or after a pause.
            case restarting
            /// It ignored its cancellation and runs on; what happens when it ends after all.
            case leaked(OnLeakEnd)
        }

        enum OnLeakEnd: Hashable {
            /// It stays ended.
            case nothing
            /// It is restarted: it hung, or a restart of its group waits for it.
            case restart(ran: Duration)
            /// As its exit and its policy say: it ended by itself and only left something behind.
            case policy(since: Duration)
        }

        let key: Key
        let id: String
        let restart: RestartPolicy
        let shutdown: ShutdownPolicy
        let type: ChildType
        let isSignificant: Bool
        let backoff: RestartBackoff?
        /// Whether killing can do more than cancelling.
        let canBeKilled: Bool
        var phase = Phase.none
        /// Counts the starts; an event of an earlier instance is stale.
        var instance = 0
        /// Rises with each start of any child.
        var startNumber = 0
        var restarts = 0
        var backoffAttempt = 0
        /// Counts the pauses, so that the end of an earlier one is stale.
        var pauses = 0
        /// Set when it gave no heartbeat for this long and was instructed to end.
        var silence: Duration?
        var lastExit: ChildExit?

        /// Its task has not ended, as far as is known.
        var isAlive: Bool {
            switch self.phase {
            case .starting, .running, .stopping, .leaked: true
            case .none, .ended, .restarting: false
            }
        }

        var reference: ChildReference { ChildReference(id: self.id, instance: self.instance, key: self.key) }
    }

    typealias CallID = Int

    enum Call: Hashable {
        case start(Child)
        case terminate(id: String)
        case terminateReference(ChildReference)
        case restart(id: String)
        case delete(id: String)
        /// Answered at its turn, so that all before it is done.
        case look
    }

    enum Reply: Hashable {
        case done
        /// nil: the child said that it is not to run.
        case started(ChildReference?)
        case startFailed(String)
        case refused(SupervisionErrorCode)
    }

    enum Event: Hashable {
        case begin
        case ready(Key, instance: Int)
        case ended(Key, instance: Int, ChildExit)
        /// Ended before it was ready.
        case startEnded(Key, instance: Int, StartFailure)
        case pauseEnded(Key, pause: Int)
        case stopOverdue(Key, instance: Int)
        case killOverdue(Key, instance: Int)
        /// It gave no heartbeat for this long.
        case silent(Key, instance: Int, Duration)
        /// A supervisor among the children has ended but for what leaked in it.
        case leftBehind(Key, instance: Int)
        case call(CallID, Call)
        case shutdown
        case kill
    }

    enum End: Hashable {
        case shutdown
        case autoShutdown(child: String)
        case gaveUp(child: String, reason: String)
        case failedToStart(child: String, reason: String)
        case killed
    }

    enum Action: Hashable {
        case start(Key, instance: Int)
        /// Cancel, and kill when its shutdown time is over.
        case stop(Key, instance: Int)
        /// Cancel and use the last resort; when that does not help within a moment either, it has leaked.
        case kill(Key, instance: Int)
        /// Report the end of this pause, which may be stretched by jitter.
        case pause(Key, pause: Int, Duration)
        case reply(CallID, Reply)
        /// The restart has been decided; its first step may be stopping others, or a pause.
        case restarting(Key, reason: String, label: String, pause: Duration)
        /// The restart budget is spent; all children are ended next.
        case gaveUp(Key, reason: String)
        case startFailed(Key, reason: String)
        case startIgnored(Key)
        case leaked(Key)
        /// A leaked child has ended after all.
        case returned(Key)
        /// Nothing of this child remains.
        case forget(Key)
        case allReady
        case finished(End)
    }
}

extension SupervisorMachine.Child {
    init(key: SupervisorMachine.Key, _ specification: ChildSpecification) {
        self.init(
            key: key, id: specification.id, restart: specification.restart, shutdown: specification.shutdown,
            type: specification.type, isSignificant: specification.isSignificant, backoff: specification.backoff,
            canBeKilled: specification.kill != nil || specification.type == .supervisor)
    }

    func status(dependency: String?, now: Duration) -> ChildStatus {
        var uptime: Duration?
        var waitsFor: String?
        let state: ChildStatus.State
        switch self.phase {
        case .none: state = .none
        case .starting: state = .starting
        case .running(let since):
            state = dependency == nil ? .running : .waiting
            waitsFor = dependency
            uptime = now - since
        // Its end is known and about to be acted on.
        case .ended, .restarting: state = .restarting
        case .stopping: state = .stopping
        case .leaked: state = .leaked
        }
        return ChildStatus(
            reference: self.reference, type: self.type, state: state, restarts: self.restarts,
            lastReason: self.lastExit.map { "\($0)" }, dependency: waitsFor, uptime: uptime)
    }
}
