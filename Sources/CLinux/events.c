#define _GNU_SOURCE
#include "events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    header = NLMSG_HDRLEN + sizeof(struct cn_msg),
    kind_place = header + offsetof(struct proc_event, what),
    uid_event = 0x00000004,  // PROC_EVENT_UID; its name moved between headers
};

static int closed_with_errno(int fd) {
    int error = errno;
    close(fd);
    return -error;
}

// The kernel reports to processes in the initial namespaces only, and answers others with nothing.
static int is_initial_namespace(const char *path, unsigned long number) {
    char link[64], expected[64];
    ssize_t length = readlink(path, link, sizeof link - 1);
    if (length < 0) return 0;
    link[length] = 0;
    const char *bracket = strchr(link, '[');
    snprintf(expected, sizeof expected, "[%lu]", number);
    return bracket && strcmp(bracket, expected) == 0;
}

int orc_user_changes(void) {
    // PROC_PID_INIT_INO and PROC_USER_INIT_INO of the kernel.
    if (!is_initial_namespace("/proc/self/ns/pid", 0xEFFFFFFCUL) || !is_initial_namespace("/proc/self/ns/user", 0xEFFFFFFDUL))
        return -ENOTCONN;
    int fd = socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (fd < 0) return -errno;
    // Without the filter the node would wake up at every fork of the host. Loads are in network order.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kind_place),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(uid_event), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0) return closed_with_errno(fd);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return closed_with_errno(fd);
    // A header, a message, and the operation that is the message's data.
    uint8_t request[header + sizeof(uint32_t)];
    struct nlmsghdr head = {.nlmsg_len = sizeof request, .nlmsg_type = NLMSG_DONE};
    struct cn_msg message = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC}, .len = sizeof(uint32_t)};
    uint32_t operation = PROC_CN_MCAST_LISTEN;
    memset(request, 0, sizeof request);
    memcpy(request, &head, sizeof head);
    memcpy(request + NLMSG_HDRLEN, &message, sizeof message);
    memcpy(request + header, &operation, sizeof operation);
    if (send(fd, request, sizeof request, 0) < 0) return closed_with_errno(fd);
    return fd;
}

int orc_next_user_changes(int fd, struct orc_user_change *list, int most) {
    int found = 0;
    while (found < most) {
        char bytes[512];
        struct sockaddr_nl sender;
        socklen_t length = sizeof sender;
        ssize_t count = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&sender, &length);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return found;
        if (count < 0) return -errno;
        // Other processes may send to the group, too; the kernel's number is 0.
        struct proc_event event;
        if (sender.nl_pid != 0 || (size_t)count < header + sizeof event) continue;
        memcpy(&event, bytes + header, sizeof event);
        if ((uint32_t)event.what != uid_event) continue;
        list[found++] = (struct orc_user_change){
            .pid = event.event_data.id.process_pid, .user = event.event_data.id.e.euid};
    }
    return found;
}
