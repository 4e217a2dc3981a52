/// Ways out of a sandbox that were used against others, as programs to be run inside ours.
///
/// It is the view from outside that judges: a secret that comes out, a file that is touched, a listener that is visited,
/// a process that dies or is left. Where only the kernel's answer can be seen, a script prints a line of its own when it
/// got what it must not get.
///
/// The scripts see these variables: `OUT`, a directory outside with the file `secret`; `WORDS`, that line, and what is
/// sent to listeners; `MARK`, which processes carry; `TOOL`, the shim, for calls that a shell cannot make, by way of the
/// function `tool`; `DECOY`, a process outside; `PORT`,
/// a listener's on the host's loopback; `NAME`, that of its abstract socket; `SOCKET`, `TEMPORARY` and `PANE`, paths of sockets and
/// of a tmux server outside; `CALL_…`, the numbers of system calls; `SHARED`, memory of System V; `KEY`, a key of the user's.
package struct EscapeAttempt: Hashable, Sendable {
    package let name: String
    package let category: String
    package let script: String
    /// Run in a terminal of its own.
    package var needsTerminal = false

    /// What every script begins with. The arguments go by the environment: where /proc is hidden a Swift program cannot
    /// see those of its command line.
    package static let prologue = #"tool() { local IFS=$'\037'; ATTEMPT="$*" "$TOOL"; }; "#

    /// The numbers of system calls that the scripts use, as variables.
    package static var numbers: [String: String] {
        guard let architecture = SyscallTable.Architecture.current else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: SyscallTable.names.map { name in
                // One that there is not here is asked for as a call that no kernel has.
                ("CALL_\(name)", SyscallTable.number(name, on: architecture).map(String.init) ?? "-1")
            })
    }

    package static let all: [EscapeAttempt] =
        Self.files + Self.descriptors + Self.processes + Self.sockets + Self.terminals + Self.kernel + Self.lifetimes

    private static func made(_ category: String, _ attempts: [(String, String)]) -> [EscapeAttempt] {
        attempts.map { EscapeAttempt(name: $0.0, category: category, script: $0.1) }
    }

    private static let files = Self.made(
        "files",
        [
            ("read a file outside", #"cat "$OUT/secret""#),
            ("read it by the parents of the workspace", #"cat "../../../../../../../..$OUT/secret""#),
            ("read it by process 1's root", #"cat "/proc/1/root$OUT/secret" "/proc/1/cwd$OUT/secret""#),
            ("read it by any process' root", #"for p in /proc/[0-9]*; do cat "$p/root$OUT/secret"; done"#),
            ("read it by a symbolic link", #"ln -s "$OUT/secret" l; cat l"#),
            ("read it by a hard link", #"ln "$OUT/secret" h && cat h; ln -P "/proc/self/root$OUT/secret" i && cat i"#),
            ("write a file outside", #"echo x > "$OUT/touched""#),
            ("write it by a symbolic link", #"ln -s "$OUT" d; echo x > d/touched; cp /bin/true d/touched"#),
            (
                "open a directory outside to others",
                #"chmod 777 "$OUT"; chmod 4755 "$OUT/secret"; chown 0 "$OUT/secret""#
            ),
            ("cut a file outside off", #"truncate -s 0 "$OUT/secret"; : > "$OUT/secret""#),
            ("rename a file to the outside", #"echo x > f; mv f "$OUT/touched""#),
            (
                "make a device",
                #"mknod disk b 8 0; mknod mem c 1 1; head -c 64 disk mem /dev/mem /dev/kmem /dev/sda /dev/vda"#
            ),
            (
                "mount",
                #"mkdir -p m; mount --bind / m; mount -t proc none m; mount -t tmpfs none m; cat "m$OUT/secret""#
            ),
            ("change the root", #"mkdir -p r; chroot r /bin/true; chroot / cat "$OUT/secret""#),
            (
                "write the kernel's settings",
                #"echo "|$OUT/x" > /proc/sys/kernel/core_pattern; echo b > /proc/sysrq-trigger; echo 1 > /sys/kernel/profiling"#
            ),
            (
                "leave a set-uid program",
                #"cp /bin/bash s; chmod 4755 s; install -m 4755 /bin/bash t; (umask 0; tool call "$CALL_openat" -100 0 65 2541)"#
            ),
            (
                "overwrite the guard",
                #"cp /bin/false /run/orch/guard; echo x >> /proc/1/exe; echo x > "$TOOL.x"; echo x >> /proc/self/exe"#
            ),
            (
                "write the host's libraries",
                #"echo x > /usr/touched; echo x > /usr/lib/touched; echo x > /etc/ld.so.preload"#
            ),
            (
                "list the host's files",
                #"ls -a / /home /root /var /srv /mnt | grep -F "$(basename "$OUT")"; find / -name secret -exec cat {} +"#
            ),
            (
                "read password files",
                #"cat /etc/shadow /root/.ssh/id_* /home/*/.ssh/id_* | grep -E 'PRIVATE|\$6\$|\$y\$' && echo "$WORDS""#
            ),
        ])

    private static let descriptors = Self.made(
        "descriptors",
        [
            (
                "use what is open",
                #"for f in /proc/self/fd/*; do n=${f##*/}; [ "$n" -gt 2 ] && cat "$f/../secret" <&"$n"; done"#
            ),
            (
                "leave by a directory that is open",
                #"for n in $(seq 3 64); do cat "/proc/self/fd/$n$OUT/secret" "/dev/fd/$n/../secret"; done"#
            ),
            ("use what others have open", #"for f in /proc/[0-9]*/fd/*; do timeout 0.1 head -c 4096 "$f"; done"#),
        ])

    private static let processes = Self.made(
        "processes",
        [
            ("read environments", "cat /proc/*/environ /proc/*/task/*/environ"),
            ("read command lines", "cat /proc/*/cmdline; ps -eww -o args"),
            ("kill a process outside", #"kill -9 "$DECOY"; tool call "$CALL_kill" "$DECOY" 9"#),
            ("kill all there are", "trap '' TERM; kill -9 -1; kill -TERM -1"),
            (
                "trace a process outside",
                #"tool call "$CALL_ptrace" 16 "$DECOY"; gdb -p "$DECOY" -batch -ex 'shell true'"#
            ),
            ("read its memory by a call", #"tool read-memory "$DECOY" 4194304; tool read-memory 1 4194304"#),
            ("read its memory by its file", #"head -c 100000 "/proc/$DECOY/mem"; head -c 100000 /proc/1/mem"#),
            ("take its descriptors", #"tool call 434 "$DECOY" 0; tool call 438 3 1 0"#),
            ("change its limits", #"prlimit --pid "$DECOY" --cpu=1; tool call "$CALL_prlimit64" "$DECOY" 0 0"#),
            ("write to the sandbox' own first process", #"echo x > /proc/1/mem; echo x > /proc/1/oom_score_adj"#),
        ])

    private static let sockets = Self.made(
        "sockets",
        [
            ("a socket by its path", #"tool unix "$SOCKET" "$WORDS""#),
            ("an abstract socket", #"tool abstract "$NAME" "$WORDS""#),
            (
                "a socket of the host's in the workspace",
                #"tool unix "${TOOL%/*}/.host-socket" "$WORDS"; ln -s .host-socket l; tool unix l "$WORDS"; (cd "${TOOL%/*}" && tool unix .host-socket "$WORDS")"#
            ),
            (
                "a socket of the host's that others may read",
                #"chmod 777 "${TOOL%/*}/.open-socket"; tool unix "${TOOL%/*}/.open-socket" "$WORDS"; ln "${TOOL%/*}/.open-socket" h; tool unix h "$WORDS""#
            ),
            ("a socket in the host's /tmp", #"tool unix "$TEMPORARY" "$WORDS""#),
            ("a datagram out of a pair", #"tool pair "$SOCKET" "$WORDS""#),
            ("TCP on loopback", #"tool tcp "$PORT" "$WORDS"; echo "$WORDS" > "/dev/tcp/127.0.0.1/$PORT""#),
            (
                "TCP on loopback, version 6",
                #"echo "$WORDS" > "/dev/tcp/::1/$PORT"; echo "$WORDS" > "/dev/tcp/::ffff:127.0.0.1/$PORT""#
            ),
            ("UDP", #"tool udp "$PORT" "$WORDS"; echo "$WORDS" > "/dev/udp/127.0.0.1/$PORT""#),
            ("TCP that opens with its data", #"tool fast-open "$PORT" "$WORDS""#),
            (
                "another interface",
                #"for a in $(grep -aoE '([0-9]+\.){3}[0-9]+' /proc/net/fib_trie | sort -u); do timeout 1 bash -c "echo '$WORDS' > /dev/tcp/$a/$PORT"; done"#
            ),
            ("a name of the outside", "getent hosts example.com && echo \"$WORDS\""),
            (
                "every family",
                #"for f in $(seq 0 45); do for k in 1 2 3 5; do tool call "$CALL_socket" "$f" "$k" 0 | grep -qv 'answer -' && case $f/$k in 2/*|10/*|1/1) ;; *) echo "$WORDS";; esac; done; done"#
            ),
            ("events of all processes", #"tool call "$CALL_socket" 16 2 11 | grep -qv 'answer -' && echo "$WORDS""#),
            ("sockets that lie about", #"find / -type s | while read -r s; do tool unix "$s" "$WORDS"; done"#),
            (
                "tmux by its socket",
                #"tmux -S "$PANE" run-shell "touch $OUT/touched"; tmux -S "$PANE" new-session -d "touch $OUT/touched""#
            ),
            (
                "tmux by its variable",
                #"TMUX="$PANE,1,0" tmux run-shell "touch $OUT/touched"; env | grep -F TMUX= && echo "$WORDS""#
            ),
            (
                "services of the system",
                #"systemd-run --user touch "$OUT/touched"; busctl list; echo "touch $OUT/touched" | at now; docker ps"#
            ),
        ])

    private static let terminals = Self.made(
        "terminals",
        [
            ("type into the terminal", #"stty -echo 2>/dev/null; tool type "touch $OUT/touched; echo $WORDS" 21522"#),
            ("type by the high half of the call", #"tool type "touch $OUT/touched; echo $WORDS" 4294988818"#),
            ("the console's own requests", #"tool type "$WORDS" 21532; tool type "$WORDS" 21533"#),
            (
                "another line discipline",
                #"for d in $(seq 1 30); do tool call "$CALL_ioctl" 0 21539 "$d" | grep -qv 'answer -' && echo "$WORDS"; done"#
            ),
            (
                "other terminals",
                #"for t in /dev/pts/* /dev/tty[0-9]* /dev/console; do [ "$t" = "$(tty)" ] || echo "touch $OUT/touched" > "$t"; done; true"#
            ),
        ]
    ).map { attempt in
        EscapeAttempt(name: attempt.name, category: attempt.category, script: attempt.script, needsTerminal: true)
    }

    private static let kernel = Self.made(
        "kernel",
        [
            ("a user namespace", #"unshare -Ur cat "$OUT/secret"; unshare -Urm true && echo "$WORDS""#),
            ("every other namespace", #"for n in m p i u n C T; do unshare "-$n" true && echo "$WORDS"; done"#),
            (
                "a namespace by clone",
                #"tool call "$CALL_clone" 268435473 0 0 0 0 | grep -qv 'answer -' && echo "$WORDS""#
            ),
            ("a namespace by clone3", #"tool call 435 0 64 | grep -qE 'answer -(38|1)$' || echo "$WORDS""#),
            ("others' namespaces", #"nsenter -t 1 -a cat "$OUT/secret"; nsenter -t "$DECOY" -m -U cat "$OUT/secret""#),
            (
                "rings of io_uring",
                #"for n in 425 426 427; do tool call $n 0 0 0 | grep -q 'answer -1$' || echo "$WORDS"; done"#
            ),
            ("programs for the kernel", #"tool call "$CALL_bpf" 0 0 0 | grep -q 'answer -1$' || echo "$WORDS""#),
            (
                "performance events",
                #"tool call "$CALL_perf_event_open" 0 0 -1 -1 0 | grep -q 'answer -1$' || echo "$WORDS""#
            ),
            (
                "faults handled by ourselves",
                #"tool call "$CALL_userfaultfd" 0 | grep -q 'answer -1$' || echo "$WORDS""#
            ),
            (
                "the new mount calls",
                #"for n in 428 429 430 431 432 433 442; do tool call $n -1 0 0 | grep -q 'answer -1$' || echo "$WORDS"; done"#
            ),
            (
                "files by their handles",
                #"tool call "$CALL_open_by_handle_at" -100 0 0 | grep -q 'answer -1$' || echo "$WORDS""#
            ),
            ("calls of 32 bits' size in 64", #"tool call 1073741865 1 1 0 && echo "$WORDS"; true"#),
            ("the user's keys", #"tool key "$KEY"; keyctl show @u; cat /proc/keys"#),
            ("shared memory of System V", #"tool shared-memory "$SHARED"; cat /proc/sysvipc/shm"#),
            ("shared memory in files", "cat /dev/shm/* /dev/mqueue/*"),
            (
                "more rights by set-uid programs",
                #"for p in sudo su mount newuidmap pkexec; do timeout 2 "$p" --help >/dev/null </dev/null; done; sudo -n cat "$OUT/secret"; su -c "cat $OUT/secret" </dev/null"#
            ),
            ("the kernel's log and symbols", #"dmesg | head -1 | grep . && echo "$WORDS"; head -1 /dev/kmsg"#),
        ])

    private static let lifetimes = Self.made(
        "lifetime",
        [
            ("a session of its own", #"setsid sleep 599."$MARK" & exit 0"#),
            ("an orphan's orphan", #"( ( trap '' HUP TERM INT; sleep 599."$MARK" ) & ) ; exit 0"#),
            ("deaf to signals", #"trap '' HUP TERM INT QUIT; nohup sleep 599."$MARK" >/dev/null 2>&1 & exit 0"#),
            ("stopped", #"sleep 599."$MARK" & kill -STOP $!; exit 0"#),
            (
                "many at once",
                #"export MARK; timeout --foreground -s KILL 1 bash -c 'for i in $(seq 1 400); do sleep 599.$MARK & done' 2>/dev/null; exit 0"#
            ),
            ("forks without end", #"f() { f | f & }; f 2>/dev/null; sleep 0.3; sleep 599."$MARK" & exit 0"#),
        ])
}
