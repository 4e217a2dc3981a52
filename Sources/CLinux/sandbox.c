#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

long orc_syscall(long number, long a, long b, long c, long d, long e, long f) {
    long answer = syscall(number, a, b, c, d, e, f);
    return answer < 0 ? -errno : answer;
}

long orc_syscall_with(long number, const void *pointer, int at, long a, long b, long c, long d, long e, long f) {
    long arguments[6] = {a, b, c, d, e, f};
    if (at < 0 || at > 5) return -EINVAL;
    arguments[at] = (long)pointer;
    return orc_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

// Landlock's numbers, which older headers lack: they are the same on every architecture.
enum { landlock_create_ruleset = 444, landlock_add_rule = 445, landlock_restrict_self = 446 };

int orc_landlock_version(void) {
    long version = syscall(landlock_create_ruleset, NULL, 0, 1U);
    return version < 0 ? -errno : (int)version;
}

int orc_landlock_make(uint64_t files, uint64_t network, uint64_t scoped) {
    struct {
        uint64_t files, network, scoped;
    } rights = {files, network, scoped};
    // A kernel that does not know a field takes the structure without it.
    size_t size = scoped ? 24 : network ? 16 : 8;
    long rules = syscall(landlock_create_ruleset, &rights, size, 0U);
    return rules < 0 ? -errno : (int)rules;
}

int orc_landlock_allow(int rules, const char *path, uint64_t files) {
    int parent = open(path, O_PATH | O_CLOEXEC);
    if (parent < 0) return -errno;
    struct {
        uint64_t files;
        int32_t parent;
    } __attribute__((packed)) rule = {files, parent};
    // Rights that only directories have are refused for anything else.
    const uint64_t of_files = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;
    struct stat status;
    if (fstat(parent, &status) == 0 && !S_ISDIR(status.st_mode)) rule.files &= of_files;
    long result = syscall(landlock_add_rule, rules, 1, &rule, 0U);
    int error = errno;
    close(parent);
    return result < 0 ? -error : 0;
}

int orc_landlock_allow_descriptor(int rules, int descriptor, uint64_t files) {
    struct {
        uint64_t files;
        int32_t parent;
    } __attribute__((packed)) rule = {files, descriptor};
    return syscall(landlock_add_rule, rules, 1, &rule, 0U) < 0 ? -errno : 0;
}

int orc_landlock_restrict(int rules) {
    return syscall(landlock_restrict_self, rules, 0U) < 0 ? -errno : 0;
}

int orc_prefer_oom_kill(void) {
    // A process that hides its memory does not own its files in /proc.
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        if (write(fd, "1000", 4) != 4) error = errno;
        close(fd);
    }
    prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
    return -error;
}

int orc_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0; }

int orc_load_filter(const void *program, size_t count) {
    if (count == 0 || count % sizeof(struct sock_filter) != 0) return -EINVAL;
    struct sock_fprog filter = {
        .len = (unsigned short)(count / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)program,
    };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0 ? -errno : 0;
}

int orc_close_from(unsigned first) { return syscall(SYS_close_range, first, ~0U, 0) < 0 ? -errno : 0; }

int orc_set_limit(int resource, uint64_t value) {
    struct rlimit limit = {value, value};
    return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

int orc_has_limit(int resource, uint64_t value) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0) return -errno;
    return limit.rlim_cur == value && limit.rlim_max == value;
}

int orc_become_user(uid_t user, gid_t group) {
    // Emptying the bounding set needs a capability, so it comes before the user's change takes them.
    for (int capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL) return -errno;
    if (setgroups(0, NULL) < 0) return -errno;
    if (setresgid(group, group, group) < 0) return -errno;
    if (setresuid(user, user, user) < 0) return -errno;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capset, &header, none) < 0) return -errno;
    return 0;
}

int orc_has_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct held[2];
    if (syscall(SYS_capget, &header, held) < 0) return -errno;
    return (held[0].effective | held[0].permitted | held[0].inheritable | held[1].effective | held[1].permitted
            | held[1].inheritable) != 0;
}

int orc_chown(const char *path, uid_t user, gid_t group) { return lchown(path, user, group) < 0 ? -errno : 0; }

int orc_chown_stream(int descriptor, uid_t user, gid_t group) {
    struct stat status;
    if (fstat(descriptor, &status) < 0) return -errno;
    if (!S_ISFIFO(status.st_mode) && !isatty(descriptor)) return 0;
    return fchown(descriptor, user, group) < 0 ? -errno : 0;
}

int orc_place_descriptor(int from, int to) {
    if (from == to) return fcntl(from, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
    return dup3(from, to, O_CLOEXEC) < 0 ? -errno : 0;
}

int orc_open_path(int directory, const char *name) {
    int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int orc_set_attribute(int descriptor, const char *name, const void *bytes, size_t count) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return setxattr(path, name, bytes, count, 0) < 0 ? -errno : 0;
}

int orc_get_attribute(int descriptor, const char *name, void *bytes, size_t count) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    ssize_t found = getxattr(path, name, bytes, count);
    return found < 0 ? -errno : (int)found;
}

int orc_read_memory(pid_t process, uintptr_t address, void *bytes, size_t count) {
    struct iovec here = {bytes, count}, there = {(void *)address, count};
    ssize_t done = process_vm_readv(process, &here, 1, &there, 1, 0);
    return done < 0 ? -errno : (int)done;
}

int orc_share_memory(const void *bytes, size_t count) {
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    if (id < 0) return -errno;
    void *memory = shmat(id, NULL, 0);
    if (memory == (void *)-1) {
        int error = errno;
        shmctl(id, IPC_RMID, NULL);
        return -error;
    }
    memcpy(memory, bytes, count < 4096 ? count : 4096);
    shmdt(memory);
    return id;
}

int orc_remove_memory(int id) { return shmctl(id, IPC_RMID, NULL) < 0 ? -errno : 0; }

// The keyring of the user, not of the session (linux/keyctl.h).
enum { user_keyring = -4, unlink_key = 9 };

int orc_add_key(const char *description, const void *bytes, size_t count) {
    long key = syscall(SYS_add_key, "user", description, bytes, count, user_keyring);
    return key < 0 ? -errno : (int)key;
}

int orc_remove_key(int id) { return syscall(SYS_keyctl, unlink_key, id, user_keyring) < 0 ? -errno : 0; }

static int bound(int family, int kind, const void *address, socklen_t length) {
    int fd = socket(family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    if (bind(fd, address, length) == 0 && (kind == SOCK_DGRAM || listen(fd, 512) == 0)) return fd;
    int error = errno;
    close(fd);
    return -error;
}

int orc_listen_abstract(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length + 1 > sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path + 1, name, length);
    return bound(AF_UNIX, SOCK_STREAM, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

int orc_listen_loopback(uint16_t port, int datagrams) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bound(AF_INET, datagrams ? SOCK_DGRAM : SOCK_STREAM, &address, sizeof address);
}

int orc_local_port(int descriptor) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    return getsockname(descriptor, (struct sockaddr *)&address, &length) < 0 ? -errno : ntohs(address.sin_port);
}

int orc_pending_connection(int listener) {
    int visitor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (visitor >= 0) {
        close(visitor);
        return 1;
    }
    char ignored[64];
    return recv(listener, ignored, sizeof ignored, MSG_DONTWAIT) > 0;
}

int orc_set_foreground(pid_t group) {
    // A process of a background group that changes the foreground one is stopped unless it blocks this.
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTTOU);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    int result = tcsetpgrp(0, group) < 0 ? -errno : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

int orc_start_program(const char *path, char *const *argv, char *const *environment, int terminal) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    pid_t pid = fork();
    if (pid < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return -error;
    }
    if (pid == 0) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        for (int number = 1; number < 65; number++) sigaction(number, &action, NULL);
        setpgid(0, 0);
        int error = terminal ? -orc_set_foreground(getpid()) : 0;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (error == 0) {
            execve(path, argv, environment);
            error = errno;
        }
        ssize_t written = write(ends[1], &error, sizeof error);
        _exit(written == sizeof error ? 127 : 126);
    }
    close(ends[1]);
    int error = 0;
    ssize_t count;
    do count = read(ends[0], &error, sizeof error);
    while (count < 0 && errno == EINTR);
    close(ends[0]);
    if (count != sizeof error) return pid;
    waitpid(pid, NULL, 0);
    return -error;
}

int orc_wait_change(pid_t pid, int *status) {
    pid_t changed;
    do changed = waitpid(pid, status, WUNTRACED);
    while (changed < 0 && errno == EINTR);
    return changed < 0 ? -errno : 1;
}
