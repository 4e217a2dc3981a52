import Testing

@testable import Sandboxing

@Suite("Control groups")
struct ControlGroupsTests {
    private func places(_ groups: String, _ mounts: String) -> [ControlGroups.Place] {
        ControlGroups.places(groups: groups, mounts: mounts)
    }

    @Test("a service of a host with version 2 alone is found in the one hierarchy")
    func unified() {
        let found = self.places(
            "0::/system.slice/orchestra.service\n",
            "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n")
        #expect(
            found == [
                ControlGroups.Place(
                    directory: "/sys/fs/cgroup/system.slice/orchestra.service", root: "/sys/fs/cgroup", controllers: [],
                    isUnified: true)
            ])
    }

    @Test("both versions at once: what can limit a sandbox is found at its own mount, the rest is left out")
    func both() {
        let found = self.places(
            "9:name=systemd:/\n8:pids:/orchestra/node\n4:cpu,cpuacct:/a\n3:cpuset:/\n0::/orchestra/node\n",
            """
            40 30 0:40 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
            41 30 0:41 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
            42 30 0:42 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
            43 30 0:43 / /tmp rw - tmpfs tmpfs rw

            """)
        #expect(
            found.map(\.directory) == [
                "/sys/fs/cgroup/pids/orchestra/node", "/sys/fs/cgroup/cpu,cpuacct/a",
                "/sys/fs/cgroup/unified/orchestra/node",
            ])
        #expect(found.map(\.controllers) == [[.processes], [.processor], []])
    }

    @Test(
        "a container that sees a part of the tree finds itself in that part, and what lies outside of it is not there")
    func part() {
        let mounts = "50 40 0:50 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup ro\n"
        #expect(self.places("0::/docker/abc/x\n", mounts).map(\.directory) == ["/sys/fs/cgroup/x"])
        #expect(self.places("0::/docker/abc\n", mounts).map(\.directory) == ["/sys/fs/cgroup"])
        #expect(self.places("0::/docker/abcd\n", mounts).isEmpty)
    }

    @Test(
        "what is no such file says nothing",
        arguments: ["", "\n", "0", "0:", "::", "x:y:z", "1::/", "0::relative", "\u{0}:\u{0}:\u{0}"])
    func garbage(text: String) {
        #expect(self.places(text, "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 x rw\n").allSatisfy { $0.isUnified })
        #expect(self.places("0::/a\n", text).isEmpty)
    }
}
