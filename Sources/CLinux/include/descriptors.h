#pragma once

// What Unix sockets carry: open descriptors (SCM_RIGHTS), whose control messages are built by macros that Swift cannot
// call, and single messages. Every function returns a value >= 0, or -errno.

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// Two ends of a Unix stream, both close-on-exec and blocking.
int orc_socket_pair(int *ends);
// Connects a Unix stream without waiting; close-on-exec and non-blocking. -EAGAIN when the listener's queue is full.
int orc_connect_unix_at_once(const char *path);
// Sends bytes, and with them `descriptor` unless it is negative; how many bytes were taken. Raises no SIGPIPE.
int orc_send_descriptor(int socket, const void *bytes, size_t count, int descriptor);
// Receives bytes and at most one descriptor, close-on-exec; -1 in `descriptor` when none came. Further ones are closed.
// How many bytes there are, 0 at the end of the stream.
int orc_receive_descriptor(int socket, void *bytes, size_t count, int *descriptor);
// Sends one datagram to a Unix socket and never waits; a path that begins with '@' is an abstract name.
int orc_send_datagram(const char *path, const void *bytes, size_t count);

#pragma clang assume_nonnull end
