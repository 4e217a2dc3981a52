#pragma once

// System calls that Swift cannot make: fork and what must happen between fork and exec, variadic ioctls,
// and calls newer than the Glibc overlay. Every function returns a value >= 0, or -errno. What is passed over sockets is in
// descriptors.h, what only a sandbox needs in sandbox.h.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

// A pid's file descriptor, readable once it has exited (Linux 5.3).
int orc_pidfd_open(pid_t pid);
// Sends `signal` to exactly that process (Linux 5.1).
int orc_pidfd_send_signal(int pidfd, int signal);

// An anonymous file holding `bytes`, positioned at its start; inherited only when handed on by number.
int orc_memfd_with(const void *_Nullable bytes, size_t count);

// Opens a pseudo terminal of the given size; the master is close-on-exec and non-blocking.
int orc_pty_open(uint16_t columns, uint16_t rows);
int orc_pty_resize(int master, uint16_t columns, uint16_t rows);
// Bytes in the terminal's input that no program has read; in line mode those of whole lines.
int orc_pty_unread(int master);
// 1 when the terminal takes whole lines, 0 when it takes every byte at once.
int orc_pty_is_in_line_mode(int master);
// Gives the terminal the size that another one has.
int orc_pty_copy_size(int from, int master);

// Starts `path` with an empty environment in a session of its own, default signals and an empty mask.
// With `pty_master` >= 0 its terminal becomes the child's controlling terminal and descriptors 0 to 2;
// otherwise `fds[0..2]` do. `fds[3..]`, up to 128 in all, are then placed at 3, 4, …; everything else is closed.
// The child joins the control groups whose `cgroup.procs` the descriptors `groups` write, or ends with 125 and a word why.
// Fork runs no handlers of ours, so the caller must have one thread. Returns the pid.
int orc_spawn(const char *path, char *const _Nullable *_Nonnull argv, int pty_master, const int *fds, size_t fd_count,
              const int *groups, size_t group_count);

// A listening Unix socket at `path`, mode 0600, close-on-exec, non-blocking.
int orc_listen_unix(const char *path);
// Accepts one connection of a process of this user; -EPERM when the peer is another user's.
int orc_accept_same_user(int listener);
int orc_connect_unix(const char *path);
// 0 when somebody listens at a Unix socket; never waits.
int orc_probe_unix(const char *path);

// Blocks the signals and returns a descriptor that reads them: SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGWINCH.
int orc_signal_descriptor(void);
// The number of the next signal, or -EAGAIN.
int orc_next_signal(int descriptor);

struct orc_exit {
    int code;       // exit status, or -1
    int signal;     // ending signal, or 0
    uint64_t user_microseconds;
    uint64_t system_microseconds;
    uint64_t max_rss_kib;
};
// Reaps `pid` without waiting; 1 when it had ended, 0 when it still runs.
int orc_reap(pid_t pid, struct orc_exit *result);

// A pipe whose both ends are close-on-exec: ends[0] reads, ends[1] writes.
int orc_pipe(int *ends);
int orc_set_nonblocking(int fd);
// Core files off, not dumpable, so that other processes of the user cannot read this one's memory.
int orc_harden_process(void);
// Locks the file exclusively without waiting; -EWOULDBLOCK when another process holds it.
int orc_lock_file(const char *path);
// The same, but waits for its turn.
int orc_wait_for_file(const char *path);
// Makes orphaned descendants children of this process (PR_SET_CHILD_SUBREAPER, Linux 3.4).
int orc_become_subreaper(void);
struct orc_process {
    pid_t pid, parent;
    uid_t user;         // effective
    char state;         // as in /proc/PID/stat: 'Z' for a zombie
    char name[17];
    uint64_t start;     // clock ticks after boot
};
// All processes that /proc shows, at most `most`; how many there are in `list`. -errno when they cannot be read.
int orc_processes(struct orc_process *list, int most);
// One process of /proc; 0, or -errno: -ENOENT or -ESRCH when it has ended.
int orc_process_of(pid_t pid, struct orc_process *process);
// The threads of all processes of this user that /proc shows: what RLIMIT_NPROC counts. -errno when they cannot be read.
int orc_user_tasks(void);
// Milliseconds of the monotonic clock.
uint64_t orc_monotonic_milliseconds(void);
// Bytes that this process has allocated and not freed, as its allocator counts (mallinfo2, glibc 2.33).
uint64_t orc_allocated_bytes(void);
// Ends this process's standard output and input as a terminal in raw mode; 0 when it is none.
int orc_make_raw(int fd);
// Replaces this process; returns only -errno. `environment` may be empty.
int orc_exec(const char *path, char *const _Nullable *_Nonnull argv, char *const _Nullable *_Nonnull environment);
// Lets the calling thread run after the machine's others (nice 10); only the kernel's own call names a thread.
void orc_yield_to_others(void);

#pragma clang assume_nonnull end
