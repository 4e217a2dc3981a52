internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import ShimProtocol
internal import Terminals

/// The end of an agent's launch: asked for, awaited, proved.
extension Agent {
    /// Ends the program's tree and waits for the record that proves it, at most the stop timeout; a shim that
    /// has no socket yet is waited for as long. False when there is no proof.
    func stopProgram() async -> Bool {
        let directory = self.task.directory
        guard self.generation > 0, directory.exitRecord(self.generation) == nil else { return true }
        guard let bytes = directory.read(ShimFiles.launch, generation: self.generation),
            let spec = try? LaunchSpec(decoding: bytes)
        else {
            self.mayLive = directory.isAlive(self.generation)
            return !self.mayLive
        }
        let hello = ShimFrame.hello(token: spec.token, epoch: self.task.epoch)
        let path = directory.socketPath(self.generation)
        let (group, clock, generation) = (self.group, self.clock, self.generation)
        let launcher = self.launcher
        let limit = self.configuration.stopTimeout
        let isStopped = await withTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                while !_Concurrency.Task.isCancelled {
                    var isAbsent = false
                    do {
                        if try await Self.askToStop(path, hello, group) { return true }
                    } catch let error as IOError {
                        isAbsent = error.errnoCode == ENOENT || error.errnoCode == ECONNREFUSED
                    } catch {}
                    if directory.exitRecord(generation) != nil { return true }
                    // The shim has died or never came up, and its end took the tree along: the launcher dies with it.
                    if isAbsent, !directory.hasShim(generation) {
                        guard let launcher else { return true }
                        if kill(launcher, 0) != 0, errno == ESRCH { return true }
                    }
                    do { try await clock.sleep(for: .milliseconds(20)) } catch { return false }
                }
                return false
            }
            tasks.addTask {
                do { try await clock.sleep(for: limit) } catch { return false }
                return false
            }
            let first = await tasks.next() ?? false
            tasks.cancelAll()
            return first
        }
        self.mayLive = !isStopped
        guard !isStopped else { return true }
        if let view = directory.latestView(generation) {
            await TmuxServer(executable: self.configuration.tmux, socket: view).stop()
        }
        self.logger.critical("an agent could not be proved gone after its stop", metadata: self.metadata)
        return false
    }

    private static func askToStop(
        _ path: String, _ hello: ShimFrame, _ group: MultiThreadedEventLoopGroup
    ) async throws -> Bool {
        try await ShimConnection.with(path: path, group: group) { connection in
            try await connection.send(hello)
            try await connection.send(.stop)
        } receive: { frame, connection in
            guard case .exited = frame else { return nil as Bool? }
            try await connection.send(.reap)
            return true
        } ?? false
    }
}
