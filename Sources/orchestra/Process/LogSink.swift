import CoreMetrics
import Foundation
import Synchronization

/// A log that drops lines instead of stopping the node when its reader stands still or its disk is full. Lines go through a
/// bounded buffer to a thread of their own; dropped lines are counted, and reported by a line when writing works again.
final class LogSink: Sendable {
    private struct State {
        var buffer: LogBuffer
        var isDraining = false
        var waiters: [AsyncStream<Void>.Continuation] = []
    }

    private let state: Mutex<State>
    private let dropped: Counter
    private let writeLine: @Sendable ([UInt8]) -> Bool
    private let thread = Mutex<SignalledThread?>(nil)

    /// Bytes of lines that may wait.
    static let limit = 4 << 20

    /// `write` writes a whole line, may wait, and returns false when it cannot. `dropped` counts the lines that were not
    /// written. The lines are written by `drain`, which a thread of `startThread` calls.
    init(limit: Int = LogSink.limit, dropped: Counter, write: @escaping @Sendable ([UInt8]) -> Bool) {
        self.state = Mutex(State(buffer: LogBuffer(limit: limit)))
        self.dropped = dropped
        self.writeLine = write
    }

    /// A log on this descriptor, written by a thread of its own.
    static func writing(to descriptor: Int32, dropped: Counter) -> LogSink {
        let sink = LogSink(dropped: dropped) { Output.write($0, to: descriptor) == 0 }
        sink.startThread()
        return sink
    }

    /// A log in a file of mode 0600 that is only appended to, written by a thread of its own. Throws status 78 when the
    /// file cannot be opened.
    static func appending(to path: String, dropped: Counter) throws -> LogSink {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandError.configuration("the log file \(path) cannot be opened: \(Host.reason(errno))")
        }
        return self.writing(to: descriptor, dropped: dropped)
    }

    /// Has the lines written by a thread; the sink then lives as long as the process.
    func startThread() {
        let thread = SignalledThread { self.drain() }
        self.thread.withLock { $0 = thread }
    }

    /// Takes a line with its newline; never waits.
    func write(_ line: [UInt8]) {
        let isAccepted = self.state.withLock { state in
            state.isDraining = true
            return state.buffer.add(line)
        }
        if !isAccepted { self.dropped.increment() }
        self.thread.withLock { $0 }?.signal()
    }

    /// Writes the lines that wait; returns when there are none.
    func drain() {
        while let lines = self.takeLines() {
            for line in lines {
                if self.writeLine(line) {
                    self.reportDropped()
                } else {
                    self.state.withLock { $0.buffer.countFailure() }
                    self.dropped.increment()
                }
            }
        }
    }

    /// Waits until all lines are written, at most for this long.
    func finish(within limit: Duration) async {
        let (ends, end) = AsyncStream<Void>.makeStream()
        let isIdle = self.state.withLock { state in
            if state.isDraining { state.waiters.append(end) }
            return !state.isDraining
        }
        guard !isIdle else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in ends {} }
            group.addTask {
                do { try await ContinuousClock().sleep(for: limit) } catch {
                    // The lines were written first.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func takeLines() -> [[UInt8]]? {
        let (lines, waiters) = self.state.withLock { state -> ([[UInt8]]?, [AsyncStream<Void>.Continuation]) in
            guard state.buffer.isEmpty else { return (state.buffer.take(), []) }
            state.isDraining = false
            defer { state.waiters = [] }
            return (nil, state.waiters)
        }
        for waiter in waiters { waiter.finish() }
        return lines
    }

    private func reportDropped() {
        let count = self.state.withLock { $0.buffer.takeDropped() }
        guard count > 0 else { return }
        let line = "{\"level\":\"warning\",\"msg\":\"log lines were dropped\",\"count\":\(count)}\n"
        if !self.writeLine(Array(line.utf8)) {
            self.state.withLock { state in for _ in 0..<count { state.buffer.countFailure() } }
        }
    }
}
