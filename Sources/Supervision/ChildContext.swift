/// What a running child may say to its supervisor. All of it is cheap and may be called from any thread.
package struct ChildContext: Sendable {
    let link: ChildLink

    /// The child is up: the next one may start. Counts once.
    package func ready() { self.link.becomeReady() }

    /// The child is not hung. Wanted at least once in each `heartbeatLimit` once it is ready.
    package func heartbeat() { self.link.beat() }

    /// Something the child depends on is away, and why: a state, shown in the tree, that spends no restart. nil
    /// when it is back.
    package func dependencyAway(_ reason: String?) { self.link.setDependency(reason) }

    /// Lets the tree show a supervisor that runs within this child for a while, and restart storms count in it.
    func attach(_ supervisor: Supervisor?) { self.link.attach(supervisor) }
}
