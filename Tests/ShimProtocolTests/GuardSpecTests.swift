import Domain
import Testing

@testable import ShimProtocol

@Suite("GuardSpec")
struct GuardSpecTests {
    @Test("the specification of the guard survives its encoding, and any cut of it is an error")
    func guardSpec() throws {
        let spec = GuardSpec(
            task: .run, isTerminal: true, lastDescriptor: 3, directory: "/workspace", environment: ["A": "b", "C": ""],
            argv: ["/bin/true", "x"], isNamespaced: true,
            namespaces: [GuardSpec.Namespace(name: "net", link: "net:[1]")], mounts: ["/"],
            sizes: [GuardSpec.SizedDirectory(path: "/tmp", size: 7)],
            ownUser: GuardSpec.OwnUser(inside: 1000, outside: 200_001), handedOver: ["/home/agent"],
            sharedTree: "/workspace", madeDirectories: [], isLandlocked: true, rules: [GuardSpec.Rule("/", .read)],
            filter: [1, 2], processLimit: 1, openFileLimit: 2, fileSizeLimit: 3, memoryLimit: 4,
            listeners: [3128])
        #expect(try GuardSpec(decoding: spec.encoded) == spec)
        for length in 0..<spec.encoded.count {
            #expect(throws: DomainError.self) { try GuardSpec(decoding: Array(spec.encoded.prefix(length))) }
        }
        #expect(throws: DomainError.self) { try GuardSpec(decoding: spec.encoded + [0]) }
    }
}
