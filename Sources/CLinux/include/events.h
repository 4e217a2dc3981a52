#pragma once

// Reports of the kernel about processes (CONFIG_PROC_EVENTS).

#include <sys/types.h>

#pragma clang assume_nonnull begin

// A process that took another user.
struct orc_user_change {
    pid_t pid;
    uid_t user;  // effective, as the initial user namespace sees it
};
// A socket that reports each process of the host that takes another user, and nothing else; -errno without one. Needs
// Linux 6.6, or CAP_NET_ADMIN; -ENOTCONN in a PID or user namespace, to which the kernel reports nothing. Swift cannot
// lay out the kernel's messages.
int orc_user_changes(void);
// The changes that have come, at most `most`; how many there are in `list`, 0 for none. Never waits. -ENOBUFS when some
// were lost.
int orc_next_user_changes(int fd, struct orc_user_change *list, int most);

#pragma clang assume_nonnull end
