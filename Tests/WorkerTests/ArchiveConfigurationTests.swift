import AuditArchive
import Cryptography
import Synchronization
import TestSupport
import Testing

@testable import Worker

@Suite("ArchiveConfiguration")
struct ArchiveConfigurationTests {
    @Test("the next key signs from then on, also when the process ended before the key was replaced")
    func nextKey() async throws {
        try await withDirectory { directory in
            let archive = directory + "/n1"
            let (old, new) = (try ChainKey(.random()), try ChainKey(.random()))
            let configuration = ArchiveConfiguration(directory: archive, key: old, nextKey: { new })
            var writer = try configuration.open(node: "n1", at: 1)
            #expect(writer.fingerprint == old.fingerprint)
            #expect(try configuration.changeKey(of: &writer, at: 1))
            #expect(writer.fingerprint == new.fingerprint)
            // The key file still has the older key.
            writer = try configuration.open(node: "n1", at: 2)
            #expect(writer.fingerprint == new.fingerprint)
            #expect(try configuration.changeKey(of: &writer, at: 2))
            let report = try #require(try ArchiveVerification(of: archive)?.run().0)
            #expect(report.keys == [old.fingerprint, new.fingerprint])
            let without = ArchiveConfiguration(directory: archive, key: old)
            #expect(throws: ArchiveError.self) { try without.open(node: "n1", at: 3) }
        }
    }

    @Test("a chain that is opened again is signed by the key that its file has by then")
    func replacedKey() async throws {
        try await withDirectory { directory in
            let keys = Mutex((now: try ChainKey(.random()), next: ChainKey?.some(try ChainKey(.random()))))
            let configuration = ArchiveConfiguration(
                directory: directory + "/n1", key: keys.withLock { $0.now }, nextKey: { keys.withLock { $0.next } },
                keyChanged: {
                    keys.withLock { keys in
                        if let next = keys.next { keys = (next, nil) }
                    }
                })
            var writer = try configuration.open(node: "n1", at: 1)
            #expect(try configuration.changeKey(of: &writer, at: 1))
            // As after a failure of the disk.
            let again = try configuration.open(node: "n1", at: 2)
            #expect(again.fingerprint == keys.withLock { $0.now.fingerprint })
        }
    }
}
