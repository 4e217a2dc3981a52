import ShimProtocol
import Testing

@Suite("GuardTables")
struct GuardTablesTests {
    private static let mounts = """
        1 0 0:1 / / ro - tmpfs tmpfs ro
        2 1 0:2 / /usr ro - ext4 /dev/vda ro
        3 1 0:3 / /dev/pts rw - devpts devpts rw
        4 1 0:4 / /proc/keys ro - devtmpfs devtmpfs rw
        """

    @Test("a mount that is expected, or lies below /dev or /proc, is no hole")
    func expected() {
        #expect(GuardTables.unexpectedMounts(Self.mounts, expected: ["/", "/usr"]) == [])
    }

    @Test("any other mount is named")
    func unexpected() {
        #expect(GuardTables.unexpectedMounts(Self.mounts, expected: ["/"]) == ["/usr"])
    }

    @Test("a table without a mount is not trusted", arguments: ["", "\n", "1 2 3"])
    func empty(text: String) { #expect(GuardTables.unexpectedMounts(text, expected: ["/"]) == nil) }

    @Test("the devices are named without their counters")
    func devices() {
        let table = "Inter-|   Receive\n face |bytes\n    lo:  12 3\n  eth0: 4 5\n"
        #expect(GuardTables.devices(table) == ["lo", "eth0"])
    }

    @Test("a user is mapped only by a line of exactly this user, that one outside, and one")
    func mapped() {
        let table = "         0       1001          1\n      1000     200001          1\n"
        #expect(GuardTables.isMapped(table, inside: 1000, outside: 200_001))
        #expect(!GuardTables.isMapped(table, inside: 1000, outside: 200_002))
        #expect(!GuardTables.isMapped("1000 200001 2\n", inside: 1000, outside: 200_001))
    }
}
