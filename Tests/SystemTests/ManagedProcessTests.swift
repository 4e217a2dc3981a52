import Foundation
import TestSupport
import Testing

@Suite("A process of the tests")
struct ManagedProcessTests {
    @Test("one that has ended keeps its number and is sent no signal, though another process may have the number")
    func ended() async throws {
        try await withDirectory { directory in
            let process = ManagedProcess("/bin/sleep", ["0.01"], log: directory + "/log")
            #expect(await process.processID == 0)
            try await process.start()
            try await eventually("it ends") { await !process.isRunning }
            let number = await process.processID
            #expect(number > 0 && kill(number, 0) != 0)
            await process.signal(SIGKILL)
            await process.kill9()
            #expect(await process.processID == number)
            let ended = try await process.wait()
            #expect(ended.code == 0 && ended.signal == 0)
        }
    }
}
