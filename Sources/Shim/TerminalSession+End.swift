internal import CLinux
internal import Glibc
internal import ShimProtocol

/// What time and the program's end require.
extension TerminalSession {
    mutating func removeGone() {
        let now = self.now()
        for index in ConnectionLimits.expired(self.clients, at: now) { self.clients[index].drop() }
        if self.clients.contains(where: { $0.role == .owner && !$0.isGone }) { self.ownerSeenAt = now }
        for client in self.clients where client.isGone { close(client.fd) }
        self.clients.removeAll { $0.isGone }
    }

    mutating func judge() {
        let now = self.now()
        self.checkString(at: now)
        guard self.program.hasExited else {
            self.program.reap(at: now)
            self.program.killIfOverdue(at: now)
            if now - self.ownerSeenAt > self.graceMilliseconds { self.program.end(.orphaned) }
            return
        }
        // The tree first: an orphan that is left of it holds the terminal open.
        guard self.record == nil, self.program.tree.isTreeGone() else { return }
        if self.isTerminalOpen, now - self.program.exitSeenAt > Self.drainMilliseconds { self.drain() }
        if !self.isTerminalOpen { self.finish() }
    }

    private mutating func finish() {
        var record = self.program.record()
        record.logLength = self.recorder.length
        switch record.endedBy {
        // What was shown is the message of the launcher or the guard.
        case .hostFailed, .launchFailed: record.errorOutput = self.recorder.read(from: 0, limit: 1024).bytes
        case .itself, .stop, .orphaned, .logQuota, .logFailed: break
        }
        self.readEvents()
        self.recorder.finish()
        let path = "\(self.directory)/\(ShimFiles.exit)"
        if !POSIX.replaceFile(path, with: record.encoded, isSynced: false) {
            report("the exit record cannot be written: errno \(errno)")
        }
        self.record = record
        // Sent before it is on disk, which may take long: only the machine's own end could come between, and takes the
        // reader with it.
        self.pumpViews()
        self.recorder.sync()
        POSIX.sync(path)
    }
}
