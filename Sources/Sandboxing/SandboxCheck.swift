internal import Domain

/// A self-check that runs inside a real sandbox and says layer by layer what it found; the doctor and the
/// node's start run it, because a layer that is only configured is not a layer.
package struct SandboxCheck: Sendable {
    /// One layer: its name, whether it holds, and what was seen.
    package struct Layer: Hashable, Sendable {
        package let name: String
        package let holds: Bool
        package let detail: String
    }

    /// A file outside that must not be readable inside.
    private let canary: String

    package init(canary: String) { self.canary = canary }

    /// The program to run inside; prints `name<TAB>ok|no<TAB>detail` a line.
    package var argv: [String] {
        let script = """
            say() { printf '%s\\t%s\\t%s\\n' "$1" "$2" "$3"; }
            own() { if [ "$2" = "$3" ]; then say "$1" ok "$4"; else say "$1" no "found $2"; fi; }
            own pid-namespace "$(readlink /proc/1/exe 2>/dev/null | grep -c bwrap)" 1 'process 1 is the sandbox itself' 
            own network "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n')" lo 'only the loopback interface exists'
            own environment "$(tr '\\0' '\\n' < /proc/1/environ 2>/dev/null | wc -l)" 0 'nothing of the launcher leaks'
            own capabilities "$(grep CapEff /proc/self/status | tr -d 'CapEf:\\t 0')" '' 'none are held'
            own no-new-privileges "$(grep NoNewPrivs /proc/self/status | tr -dc 01)" 1 'set-uid programs gain nothing'
            if unshare -U true 2>/dev/null; then say nested-namespaces no 'a nested user namespace could be made'
            else say nested-namespaces ok 'refused'; fi
            if cat "$1" >/dev/null 2>&1; then say files no 'a file outside was read'; else say files ok 'a file outside is invisible'; fi
            if touch /usr/x 2>/dev/null || touch /x 2>/dev/null; then say read-only-root no 'the root is writable'
            else say read-only-root ok 'the root cannot be written'; fi
            if touch /workspace/.check 2>/dev/null && rm /workspace/.check; then say workspace ok 'the workspace can be written'
            else say workspace no 'the workspace cannot be written'; fi
            own descriptors "$(ls /proc/self/fd | grep -vcE '^[0-4]$|^255$')" 1 'none is inherited beyond 0 to 4'
            own core-files "$(ulimit -c)" 0 'no core file can be written'
            """
        return ["/bin/bash", "--noprofile", "--norc", "-c", script, "check", self.canary]
    }

    /// Reads what the program printed; a line that is none of ours is left out.
    package static func layers(from output: String) -> [Layer] {
        output.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard parts.count == 3 else { return nil }
            return Layer(name: String(parts[0]), holds: parts[1] == "ok", detail: Printable.text(String(parts[2])))
        }
    }

    /// Every layer that must report; one that is missing does not hold.
    package static let expectedNames = [
        "pid-namespace", "network", "environment", "capabilities", "no-new-privileges", "nested-namespaces", "files",
        "read-only-root", "workspace", "descriptors", "core-files",
    ]
}
