#pragma once

// What sets up and checks a sandbox from inside. Every function returns a value >= 0, or -errno.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

// Any system call by its number; the kernel's answer, negative for an errno.
long orc_syscall(long number, long a, long b, long c, long d, long e, long f);
// The same with a pointer as one of the arguments: `at` is its place, 0 to 5.
long orc_syscall_with(long number, const void *_Nullable pointer, int at, long a, long b, long c, long d, long e, long f);

// The version of Landlock that the kernel offers; -ENOSYS or -EOPNOTSUPP without it.
int orc_landlock_version(void);
// A rule set that handles these rights; its descriptor.
int orc_landlock_make(uint64_t files, uint64_t network, uint64_t scoped);
// Grants rights below a path; -ENOENT when there is none.
int orc_landlock_allow(int rules, const char *path, uint64_t files);
// Grants rights to what an open descriptor names, such as a terminal whose path is outside of every mount.
int orc_landlock_allow_descriptor(int rules, int descriptor, uint64_t files);
// Applies the rule set to this process and all that it starts; it cannot be undone.
int orc_landlock_restrict(int rules);

// Makes this process and what it starts the first that the kernel ends when memory is out.
int orc_prefer_oom_kill(void);
int orc_no_new_privileges(void);
// Loads a seccomp filter of `count` bytes for this process and all that it starts.
int orc_load_filter(const void *program, size_t count);
// Closes every descriptor from `first` on.
int orc_close_from(unsigned first);
// Sets both limits of `resource`, and reads whether they are that.
int orc_set_limit(int resource, uint64_t value);
int orc_has_limit(int resource, uint64_t value);
// Becomes a user without groups and without any capability, now and after every exec.
int orc_become_user(uid_t user, gid_t group);
// 1 when this process holds any capability, or could by an exec; 0 when none.
int orc_has_capabilities(void);
// Gives `path` to the user; symbolic links are not followed.
int orc_chown(const char *path, uid_t user, gid_t group);
// Gives what a descriptor names to the user when it is a pipe or a terminal; 0 also for anything else, which is left.
int orc_chown_stream(int descriptor, uid_t user, gid_t group);
// Places `from` at the number `to`, close-on-exec.
int orc_place_descriptor(int from, int to);

// The entry of a directory itself, be it a link, a pipe or a device; nothing can be read from it.
int orc_open_path(int directory, const char *name);
// Sets and reads an extended attribute of what any descriptor names, also one of `orc_open_path`; needs /proc.
int orc_set_attribute(int descriptor, const char *name, const void *bytes, size_t count);
int orc_get_attribute(int descriptor, const char *name, void *bytes, size_t count);

// Starts `path` in a process group of its own; with `terminal` it becomes the foreground group of descriptor 0.
// Waits for the exec: -errno when there was none. The caller must have one thread.
int orc_start_program(const char *path, char *const _Nullable *_Nonnull argv,
                      char *const _Nullable *_Nonnull environment, int terminal);
// Waits for a change of `pid`: 1 and the wait status, which may say that it was stopped.
int orc_wait_change(pid_t pid, int *status);
// Makes the process group of descriptor 0's terminal the given one.
int orc_set_foreground(pid_t group);

// Reads another process' memory by process_vm_readv; the bytes read.
int orc_read_memory(pid_t process, uintptr_t address, void *bytes, size_t count);
// Things of this user that no path leads to, for the battery of escape attempts: a segment of System V memory, and a
// key of the user's keyring. Their ids; each is to be removed again.
int orc_share_memory(const void *bytes, size_t count);
int orc_remove_memory(int id);
int orc_add_key(const char *description, const void *bytes, size_t count);
int orc_remove_key(int id);
// A listener at an abstract Unix address, at a TCP port of 127.0.0.1 (0 chooses one), and a UDP socket there; all
// close-on-exec and non-blocking.
int orc_listen_abstract(const char *name);
int orc_listen_loopback(uint16_t port, int datagrams);
int orc_local_port(int descriptor);
// 1 when somebody has connected or sent something; what came is thrown away.
int orc_pending_connection(int listener);

#pragma clang assume_nonnull end
