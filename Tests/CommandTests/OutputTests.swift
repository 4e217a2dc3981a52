import Foundation
import Testing

@testable import orchestra

@Suite("Output")
struct OutputTests {
    @Test("a full disk is an error with the system's reason")
    func full() {
        let descriptor = unsafe open("/dev/full", O_WRONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let error = Output.write([1], to: descriptor)
        #expect(error == ENOSPC)
        #expect(Output.message(for: error) == "the output cannot be written: No space left on device")
    }

    @Test("a closed pipe has no message")
    func closedPipe() { #expect(Output.message(for: EPIPE) == nil) }

    @Test("a descriptor that is not open is an error")
    func badDescriptor() { #expect(Output.write([1], to: -1) == EBADF) }

    @Test("nothing to write is no error")
    func empty() { #expect(Output.write([], to: -1) == 0) }

    @Test("the status of failed output is that of an input/output error in sysexits.h")
    func status() { #expect(CommandError.Status.output.rawValue == 74) }
}
