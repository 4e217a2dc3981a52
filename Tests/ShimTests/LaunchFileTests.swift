import Domain
import ShimProtocol
import Testing

@testable import Shim

@Suite("LaunchFile")
struct LaunchFileTests {
    private static let spec = LaunchSpec(mode: .direct, executable: "/a", arguments: [], command: [])

    private static func problem(_ bytes: [UInt8]?) -> String? {
        guard case .failure(let error) = LaunchFile.decode(bytes, named: "launch", for: .direct) else { return nil }
        return error.message
    }

    @Test("a launch of the expected mode is read")
    func read() throws {
        #expect(try LaunchFile.decode(Self.spec.encoded, named: "launch", for: .direct).get() == Self.spec)
    }

    @Test("a file that cannot be read, one that is malformed and one of another mode are different failures")
    func failures() {
        var other = Self.spec
        other.mode = .command
        #expect(Self.problem(nil) == "launch cannot be read")
        #expect(Self.problem(other.encoded) == "launch has the mode 'command'; expected 'direct'")
        #expect(Self.problem([200])?.contains("version 200") == true)
    }
}
