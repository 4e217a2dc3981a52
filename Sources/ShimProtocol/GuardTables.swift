/// What the guard reads of the kernel's tables (proc(5)).
package enum GuardTables {
    /// The paths at which something is mounted that is not expected, from `/proc/self/mountinfo`; what lies below `/dev`
    /// and `/proc` is not looked at. Nil when the table shows no mount at all, which no process has.
    package static func unexpectedMounts(_ mountinfo: String, expected: Set<String>) -> [String]? {
        let found = mountinfo.split(separator: "\n").compactMap { line in
            line.split(separator: " ").dropFirst(4).first.map(String.init)
        }
        guard !found.isEmpty else { return nil }
        return found.filter { path in
            !expected.contains(path) && !path.hasPrefix("/dev/") && !path.hasPrefix("/proc/")
        }
    }

    /// The network devices of `/proc/self/net/dev`.
    package static func devices(_ table: String) -> [String] {
        table.split(separator: "\n").dropFirst(2).map { line in
            String(line.prefix { $0 != ":" }.drop { $0 == " " || $0 == "\t" })
        }
    }

    /// True when a line of `/proc/self/uid_map` maps exactly this one user to that one of the host.
    package static func isMapped(_ table: String, inside: UInt32, outside: UInt32) -> Bool {
        table.split(separator: "\n").contains { line in
            line.split(separator: " ").map(String.init) == [String(inside), String(outside), "1"]
        }
    }
}
