internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import ShimProtocol
internal import Terminals

/// The end of one launch of an agent: asked for, awaited, proved.
struct AgentStop: Sendable {
    let directory: AgentDirectory
    let generation: Int
    let epoch: UInt64
    let configuration: AgentConfiguration
    let group: MultiThreadedEventLoopGroup
    let clock: any Clock<Duration>
    let logger: Logger
    /// The process whose end takes the program's tree along, where the shim has named it.
    let launcher: Int32?

    /// How often the exit record is looked for, and how long at most until all processes are looked through again.
    private static let recordInterval = Duration.milliseconds(20)
    private static let longestScanInterval = Duration.milliseconds(500)

    /// Ends the program's tree and waits for the record that proves it, at most for the stop timeout; a shim that has no
    /// socket yet is waited for as long. False when there is no proof, also because files could not be read.
    func run() async -> Bool {
        guard self.generation > 0 else { return true }
        let (directory, generation) = (self.directory, self.generation)
        let hello: ShimFrame
        do {
            if try await self.configuration.files.run({ try directory.exitRecord(generation) }) != nil { return true }
            guard let spec = try await self.configuration.files.run({ try directory.launchSpec(generation) }) else {
                // Without a launch file no shim was started, unless somebody removed it.
                return try await !self.configuration.files.run { try directory.isAlive(generation) }
            }
            hello = .hello(token: spec.token, epoch: self.epoch)
        } catch {
            self.logger.error("what runs of an agent could not be found out", error: error)
            return false
        }
        let isStopped = await self.isStopped(hello)
        guard !isStopped else { return true }
        await self.stopView()
        self.logger.critical("an agent could not be proved gone after its stop")
        return false
    }

    /// True once the end is proved, false after the stop timeout.
    private func isStopped(_ hello: ShimFrame) async -> Bool {
        await withTaskGroup(of: Bool.self) { tasks in
            tasks.addTask { await self.untilGone(hello) }
            tasks.addTask {
                // Canceled once the other has its answer.
                do { try await self.clock.sleep(for: self.configuration.stopTimeout) } catch { return false }
                return false
            }
            defer { tasks.cancelAll() }
            return await tasks.next() ?? false
        }
    }

    private func untilGone(_ hello: ShimFrame) async -> Bool {
        var scanInterval = Self.recordInterval
        var nextScan = ContinuousClock.now
        while !Task.isCancelled {
            do {
                if try await self.isGone(hello, scans: ContinuousClock.now >= nextScan) { return true }
                if ContinuousClock.now >= nextScan {
                    scanInterval = min(scanInterval * 2, Self.longestScanInterval)
                    nextScan = .now + scanInterval
                }
            } catch {
                // Nothing is known now, for example for want of a descriptor; the timeout bounds how long it is tried.
                self.logger.debug("a stop is tried again", error: error)
            }
            do { try await self.clock.sleep(for: Self.recordInterval) } catch { return false }
        }
        return false
    }

    private func isGone(_ hello: ShimFrame, scans: Bool) async throws -> Bool {
        var isAbsent = false
        do {
            if try await self.askToStop(hello) { return true }
        } catch let error as IOError where error.errnoCode == ENOENT || error.errnoCode == ECONNREFUSED {
            isAbsent = true
        }
        let (directory, generation) = (self.directory, self.generation)
        if try await self.configuration.files.run({ try directory.exitRecord(generation) }) != nil { return true }
        // The shim has died or never came up, and its end took the tree along: the launcher dies with it.
        guard isAbsent, scans, try await !self.configuration.files.run({ try directory.hasShim(generation) }) else {
            return false
        }
        guard let launcher = self.launcher else { return true }
        return kill(launcher, 0) != 0 && errno == ESRCH
    }

    private func askToStop(_ hello: ShimFrame) async throws -> Bool {
        try await ShimConnection.with(path: self.directory.socketPath(self.generation), group: self.group) {
            connection in
            try await connection.send(hello)
            try await connection.send(.stop)
        } receive: { frame, connection in
            guard case .exited = frame else { return nil as Bool? }
            try await connection.send(.reap)
            return true
        } ?? false
    }

    /// The pane's process gets SIGHUP with the end of its server.
    private func stopView() async {
        let (directory, generation) = (self.directory, self.generation)
        do {
            guard let view = try await self.configuration.files.run({ try directory.latestView(generation) }) else {
                return
            }
            await TmuxServer(executable: self.configuration.tmux, socket: view).stop()
        } catch {
            self.logger.error("an agent's terminal could not be stopped", error: error)
        }
    }
}
