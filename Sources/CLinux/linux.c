#define _GNU_SOURCE
#include "linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

int orc_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int orc_pidfd_send_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int orc_memfd_with(const void *bytes, size_t count) {
    int fd = memfd_create("orchestra", MFD_CLOEXEC);
    if (fd < 0) return -errno;
    size_t done = 0;
    while (done < count) {
        ssize_t written = write(fd, (const char *)bytes + done, count - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            int error = errno;
            close(fd);
            return -error;
        }
        done += (size_t)written;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int orc_pty_open(uint16_t columns, uint16_t rows) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return -errno;
    if (grantpt(master) < 0 || unlockpt(master) < 0) {
        int error = errno;
        close(master);
        return -error;
    }
    int resized = orc_pty_resize(master, columns, rows);
    if (resized < 0) {
        close(master);
        return resized;
    }
    return master;
}

int orc_pty_resize(int master, uint16_t columns, uint16_t rows) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int orc_pty_copy_size(int from, int master) {
    struct winsize size;
    if (ioctl(from, TIOCGWINSZ, &size) < 0) return -errno;
    return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int orc_pty_unread(int master) {
    // Only the other end reports it, and it is opened only for a moment: while it is open nobody learns that the
    // program has closed it.
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (slave < 0) return -errno;
    // Waits for what is on its way from the master: n_tty_poll flushes the port's work where no input is there yet.
    struct pollfd waiting = {.fd = slave, .events = POLLIN};
    poll(&waiting, 1, 0);
    int unread = 0;
    int result = ioctl(slave, FIONREAD, &unread) < 0 ? -errno : unread;
    close(slave);
    return result;
}

int orc_pty_is_in_line_mode(int master) {
    struct termios settings;
    if (tcgetattr(master, &settings) < 0) return -errno;
    return (settings.c_lflag & ICANON) != 0;
}

// Those that a program is started with, at most.
enum { ORC_MOST_DESCRIPTORS = 128 };

// Runs in the child of the fork: only async-signal-safe calls, and no return.
static void start_child(const char *path, char *const *argv, const char *terminal, const int *fds, size_t fd_count,
                        const int *groups, size_t group_count) {
    int has_joined = 1;
    for (size_t index = 0; index < group_count; index++)
        if (write(groups[index], "0", 1) != 1) has_joined = 0;
    char *const environment[] = {NULL};
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < 32; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (setsid() < 0) _exit(126);
    // Move the descriptors out of the way of their targets first.
    int moved[ORC_MOST_DESCRIPTORS];
    if (fd_count > ORC_MOST_DESCRIPTORS) _exit(126);
    for (size_t index = 0; index < fd_count; index++) {
        if (terminal && index < 3) continue;
        moved[index] = fcntl(fds[index], F_DUPFD, ORC_MOST_DESCRIPTORS);
        if (moved[index] < 0) _exit(126);
    }
    if (terminal) {
        int slave = open(terminal, O_RDWR);
        if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0) _exit(126);
        for (int target = 0; target < 3; target++)
            if (dup2(slave, target) < 0) _exit(126);
    }
    for (size_t index = terminal ? 3 : 0; index < fd_count; index++)
        if (dup2(moved[index], (int)index) < 0) _exit(126);
    size_t first = fd_count < 3 ? 3 : fd_count;
    syscall(SYS_close_range, (unsigned)first, ~0U, 0);
    if (!has_joined) {
        static const char words[] = "orchestra-guard: a control group could not be joined\n";
        ssize_t ignored = write(2, words, sizeof words - 1);
        (void)ignored;
        _exit(125);
    }
    execve(path, argv, environment);
    _exit(127);
}

int orc_spawn(const char *path, char *const *argv, int pty_master, const int *fds, size_t fd_count, const int *groups,
              size_t group_count) {
    char terminal[64] = {0};
    if (pty_master >= 0) {
        int error = ptsname_r(pty_master, terminal, sizeof terminal);
        if (error != 0) return -error;
    }
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) start_child(path, argv, pty_master >= 0 ? terminal : NULL, fds, fd_count, groups, group_count);
    return pid;
}

static int fill_address(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

int orc_listen_unix(const char *path) {
    struct sockaddr_un address;
    int filled = fill_address(&address, path);
    if (filled < 0) return filled;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    // The socket's own mode becomes the file's (unix_bind). A mask set for a moment would be every other thread's too.
    int error = 0;
    int bound = fchmod(fd, 0600) < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
    if (bound < 0) error = errno;
    if (bound == 0 && listen(fd, 16) == 0) return fd;
    if (bound == 0) error = errno;
    close(fd);
    return -error;
}

int orc_accept_same_user(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return -errno;
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid()) return fd;
    close(fd);
    return -EPERM;
}

int orc_connect_unix(const char *path) {
    struct sockaddr_un address;
    int filled = fill_address(&address, path);
    if (filled < 0) return filled;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int error = errno;
    close(fd);
    return -error;
}

int orc_probe_unix(const char *path) {
    struct sockaddr_un address;
    int filled = fill_address(&address, path);
    if (filled < 0) return filled;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    // A full backlog says EAGAIN: somebody listens, and has his hands full.
    int result = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN ? 0 : -errno;
    close(fd);
    return result;
}

int orc_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGWINCH};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaddset(&set, numbers[index]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int orc_next_signal(int descriptor) {
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    if (count < 0) return -errno;
    return count == sizeof info ? (int)info.ssi_signo : -EAGAIN;
}

int orc_reap(pid_t pid, struct orc_exit *result) {
    int status = 0;
    struct rusage usage;
    pid_t reaped = wait4(pid, &status, WNOHANG, &usage);
    if (reaped < 0) return -errno;
    if (reaped == 0) return 0;
    result->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->user_microseconds = (uint64_t)usage.ru_utime.tv_sec * 1000000 + (uint64_t)usage.ru_utime.tv_usec;
    result->system_microseconds = (uint64_t)usage.ru_stime.tv_sec * 1000000 + (uint64_t)usage.ru_stime.tv_usec;
    result->max_rss_kib = (uint64_t)usage.ru_maxrss;
    return 1;
}

int orc_pipe(int *ends) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

int orc_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int orc_harden_process(void) {
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0) return -errno;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int lock_file(const char *path, int flags) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return -errno;
    int locked;
    do locked = flock(fd, LOCK_EX | flags);
    while (locked < 0 && errno == EINTR);
    if (locked == 0) return fd;
    int error = errno;
    close(fd);
    return -error;
}

int orc_lock_file(const char *path) { return lock_file(path, LOCK_NB); }

int orc_wait_for_file(const char *path) { return lock_file(path, 0); }

int orc_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0; }

static int read_small(int directory, const char *path, char *text, size_t size, uid_t *owner) {
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct stat status;
    if (owner) *owner = fstat(fd, &status) == 0 ? status.st_uid : 0;
    ssize_t count = read(fd, text, size - 1);
    int error = count < 0 ? errno : ENOENT;
    close(fd);
    if (count <= 0) return -error;
    text[count] = 0;
    return 0;
}

// Reads the process that is named by a directory of /proc; 1 when it is one, 0 when it is malformed, or -errno.
static int read_process(int proc, const char *name, struct orc_process *process) {
    char path[300], text[2048];
    *process = (struct orc_process){.pid = atoi(name)};
    snprintf(path, sizeof path, "%s/stat", name);
    int readable = read_small(proc, path, text, sizeof text, &process->user);
    if (readable < 0) return readable;
    // The name may hold anything, parentheses too.
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close) return 0;
    size_t length = (size_t)(close - open - 1);
    if (length > 16) length = 16;
    memcpy(process->name, open + 1, length);
    unsigned long long start = 0;
    if (sscanf(close + 2, "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &process->state,
               &process->parent, &start)
        != 3)
        return 0;
    process->start = start;
    // The files of a process that hides its memory belong to root; who it runs as says another. Not so the kernel's
    // threads, the children of process 2.
    if (process->user == 0 && process->parent != 2 && process->pid != 2) {
        snprintf(path, sizeof path, "%s/status", name);
        char *user;
        if (read_small(proc, path, text, sizeof text, NULL) == 0 && (user = strstr(text, "\nUid:"))) {
            unsigned real, effective;
            if (sscanf(user + 5, "%u %u", &real, &effective) == 2) process->user = effective;
        }
    }
    return 1;
}

int orc_process_of(pid_t pid, struct orc_process *process) {
    char name[16];
    snprintf(name, sizeof name, "%d", (int)pid);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) return -errno;
    int result = read_process(proc, name, process);
    close(proc);
    return result == 1 ? 0 : result < 0 ? result : -ESRCH;
}

int orc_processes(struct orc_process *list, int most) {
    DIR *proc = opendir("/proc");
    if (!proc) return -errno;
    int found = 0;
    struct dirent *entry;
    while (found < most && (entry = readdir(proc))) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        int result = read_process(dirfd(proc), entry->d_name, &list[found]);
        // One that has ended meanwhile is none; want of a descriptor or of memory says nothing of the others.
        if (result == -EMFILE || result == -ENFILE || result == -ENOMEM) {
            closedir(proc);
            return result;
        }
        if (result == 1) found++;
    }
    closedir(proc);
    return found;
}

int orc_user_tasks(void) {
    DIR *proc = opendir("/proc");
    if (!proc) return -errno;
    int found = 0;
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        char path[300], text[4096];
        snprintf(path, sizeof path, "%s/status", entry->d_name);
        int readable = read_small(dirfd(proc), path, text, sizeof text, NULL);
        if (readable == -EMFILE || readable == -ENFILE || readable == -ENOMEM) {
            closedir(proc);
            return readable;
        }
        if (readable < 0) continue;
        unsigned user;
        int threads;
        char *users = strstr(text, "\nUid:"), *count = strstr(text, "\nThreads:");
        if (users && count && sscanf(users + 5, "%u", &user) == 1 && user == getuid() && sscanf(count + 9, "%d", &threads) == 1)
            found += threads;
    }
    closedir(proc);
    return found;
}

uint64_t orc_monotonic_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int orc_make_raw(int fd) {
    struct termios settings;
    if (tcgetattr(fd, &settings) < 0) return -errno;
    cfmakeraw(&settings);
    return tcsetattr(fd, TCSANOW, &settings) < 0 ? -errno : 0;
}

int orc_exec(const char *path, char *const *argv, char *const *environment) {
    execve(path, argv, environment);
    return -errno;
}

uint64_t orc_allocated_bytes(void) {
    struct mallinfo2 all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

void orc_yield_to_others(void) { setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10); }
