// The yardstick: what a careful worker makes Redis do for each job, in C on one blocking connection,
// pipelined by 100 and with nothing else: no seals, no decisions, no fencing, no fairness.
//
//   baseline SOCKET COUNT fill|drain
//
// fill: XADD of COUNT jobs with one field of 300 bytes. drain, for each 100: XREADGROUP; then for each job HSET
// running, HSET done + result, EXPIRE, XADD audit; then one XACK and one XDEL of all. Prints wall and CPU
// microseconds for each job.

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 100 };

static double wall(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void fail(const char *what) {
    fprintf(stderr, "baseline: %s\n", what);
    exit(1);
}

static redisReply *next(redisContext *redis) {
    void *reply = NULL;
    if (redisGetReply(redis, &reply) != REDIS_OK || !reply) fail(redis->errstr);
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) fail(((redisReply *)reply)->str);
    return reply;
}

static void drop(redisContext *redis) { freeReplyObject(next(redis)); }

static void fill(redisContext *redis, long count) {
    char payload[300];
    memset(payload, 'x', sizeof payload);
    for (long done = 0; done < count; done += BATCH) {
        for (int index = 0; index < BATCH; index++)
            redisAppendCommand(redis, "XADD base:s * d %b", payload, sizeof payload);
        for (int index = 0; index < BATCH; index++) drop(redis);
    }
    redisAppendCommand(redis, "XGROUP CREATE base:s g 0");
    drop(redis);
}

static void drain(redisContext *redis, long count) {
    char result[90], audit[200];
    memset(result, 'r', sizeof result);
    memset(audit, 'a', sizeof audit);
    double wall_start = wall(), cpu_start = cpu();
    long done = 0;
    while (done < count) {
        redisAppendCommand(redis, "XREADGROUP GROUP g c COUNT %d STREAMS base:s >", BATCH);
        redisReply *reply = next(redis);
        if (reply->type == REDIS_REPLY_NIL) fail("the stream ended early");
        redisReply *entries = reply->element[0]->element[1];
        const char *ack[BATCH + 3], *del[BATCH + 2];
        ack[0] = "XACK", ack[1] = "base:s", ack[2] = "g", del[0] = "XDEL", del[1] = "base:s";
        int commands = 0;
        for (size_t index = 0; index < entries->elements; index++) {
            const char *id = entries->element[index]->element[0]->str;
            redisAppendCommand(redis, "HSET base:j:%s state running node n1", id);
            redisAppendCommand(redis, "HSET base:j:%s state completed result %b", id, result, sizeof result);
            redisAppendCommand(redis, "EXPIRE base:j:%s 3600", id);
            redisAppendCommand(redis, "XADD base:audit * e %b", audit, sizeof audit);
            commands += 4;
            ack[3 + index] = id, del[2 + index] = id;
        }
        redisAppendCommandArgv(redis, (int)entries->elements + 3, ack, NULL);
        redisAppendCommandArgv(redis, (int)entries->elements + 2, del, NULL);
        for (int index = 0; index < commands + 2; index++) drop(redis);
        done += (long)entries->elements;
        freeReplyObject(reply);
    }
    printf("%.3f %.3f\n", (wall() - wall_start) / (double)count, (cpu() - cpu_start) / (double)count);
}

int main(int argc, char **argv) {
    if (argc != 4) fail("usage: baseline SOCKET COUNT fill|drain");
    redisContext *redis = redisConnectUnix(argv[1]);
    if (!redis || redis->err) fail("no connection");
    if (strcmp(argv[3], "fill") == 0) fill(redis, atol(argv[2]));
    else drain(redis, atol(argv[2]));
    redisFree(redis);
    return 0;
}
