#pragma once

// hiredis' reply reader with object functions that append to one arena instead of allocating a tree.
// The table is filled by designated initialisers, because 1.x inserted members into it; createArray's
// count is an int in 0.14 and a size_t in 1.x.

#include <hiredis/hiredis.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum orc_node_kind {
    ORC_NODE_STRING = 1,
    ORC_NODE_ARRAY = 2,
    ORC_NODE_INTEGER = 3,
    ORC_NODE_NIL = 4,
    ORC_NODE_STATUS = 5,
    ORC_NODE_ERROR = 6,
    ORC_NODE_OTHER = 7,
};

// One value of a reply, in pre-order. `value`: the integer, or the count of an array's elements.
struct orc_node {
    uint32_t kind;
    uint32_t length;
    uint64_t offset;
    int64_t value;
};

// `failed` is set when a bound was passed or memory ran out; the reader then reports an error.
struct orc_arena {
    struct orc_node *_Nullable nodes;
    char *_Nullable bytes;
    size_t node_count, node_capacity, node_limit;
    size_t byte_count, byte_capacity, byte_limit;
    int failed;
};

static inline void *_Nullable orc_arena_push(struct orc_arena *_Nonnull arena, uint32_t kind, const char *_Nullable text,
                                             size_t length, int64_t value) {
    if (arena->node_count >= arena->node_limit || length > UINT32_MAX ||
        length > arena->byte_limit - arena->byte_count) {
        arena->failed = 1;
        return NULL;
    }
    if (arena->node_count == arena->node_capacity) {
        size_t capacity = arena->node_capacity ? arena->node_capacity * 2 : 256;
        struct orc_node *grown = (struct orc_node *)realloc(arena->nodes, capacity * sizeof(struct orc_node));
        if (!grown) { arena->failed = 1; return NULL; }
        arena->nodes = grown;
        arena->node_capacity = capacity;
    }
    if (length > arena->byte_capacity - arena->byte_count) {
        size_t capacity = arena->byte_capacity ? arena->byte_capacity : 4096;
        while (capacity - arena->byte_count < length) capacity *= 2;
        char *grown = (char *)realloc(arena->bytes, capacity);
        if (!grown) { arena->failed = 1; return NULL; }
        arena->bytes = grown;
        arena->byte_capacity = capacity;
    }
    if (length) memcpy(arena->bytes + arena->byte_count, text, length);
    struct orc_node *node = &arena->nodes[arena->node_count++];
    node->kind = kind;
    node->length = (uint32_t)length;
    node->offset = arena->byte_count;
    node->value = value;
    arena->byte_count += length;
    return (void *)arena;  // hiredis asks only for a non-null pointer
}

static inline uint32_t orc_kind_of(int type) {
    switch (type) {
    case REDIS_REPLY_STRING: return ORC_NODE_STRING;
    case REDIS_REPLY_STATUS: return ORC_NODE_STATUS;
    case REDIS_REPLY_ERROR: return ORC_NODE_ERROR;
    case REDIS_REPLY_ARRAY: return ORC_NODE_ARRAY;
    case REDIS_REPLY_INTEGER: return ORC_NODE_INTEGER;
    case REDIS_REPLY_NIL: return ORC_NODE_NIL;
    default: return ORC_NODE_OTHER;
    }
}

static inline void *orc_create_string(const redisReadTask *task, char *text, size_t length) {
    return orc_arena_push((struct orc_arena *)task->privdata, orc_kind_of(task->type), text, length, 0);
}
#if defined(HIREDIS_MAJOR) && HIREDIS_MAJOR >= 1
static inline void *orc_create_array(const redisReadTask *task, size_t elements) {
#else
static inline void *orc_create_array(const redisReadTask *task, int elements) {
#endif
    struct orc_arena *arena = (struct orc_arena *)task->privdata;
    if ((uint64_t)elements > arena->node_limit) { arena->failed = 1; return NULL; }
    return orc_arena_push(arena, ORC_NODE_ARRAY, NULL, 0, (int64_t)elements);
}
static inline void *orc_create_integer(const redisReadTask *task, long long value) {
    return orc_arena_push((struct orc_arena *)task->privdata, ORC_NODE_INTEGER, NULL, 0, value);
}
static inline void *orc_create_nil(const redisReadTask *task) {
    return orc_arena_push((struct orc_arena *)task->privdata, ORC_NODE_NIL, NULL, 0, 0);
}
static inline void orc_free_object(void *object) { (void)object; }

// A reader that appends to `arena`, which must outlive it; NULL when memory is out.
static inline redisReader *_Nullable orc_reader_create(struct orc_arena *_Nonnull arena) {
    static redisReplyObjectFunctions functions = {
        .createString = orc_create_string,
        .createArray = orc_create_array,
        .createInteger = orc_create_integer,
        .createNil = orc_create_nil,
        .freeObject = orc_free_object,
    };
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    if (reader) {
        reader->privdata = arena;
        reader->maxbuf = 1024 * 1024;
    }
    return reader;
}

static inline struct orc_arena *_Nullable orc_arena_create(size_t node_limit, size_t byte_limit) {
    struct orc_arena *arena = (struct orc_arena *)calloc(1, sizeof(struct orc_arena));
    if (arena) {
        arena->node_limit = node_limit;
        arena->byte_limit = byte_limit;
    }
    return arena;
}

// Empties the arena for the next reply; memory past what a usual batch needs is given back.
static inline void orc_arena_reset(struct orc_arena *_Nonnull arena) {
    arena->node_count = 0;
    arena->byte_count = 0;
    if (arena->byte_capacity > 4 * 1024 * 1024) {
        free(arena->bytes);
        arena->bytes = NULL;
        arena->byte_capacity = 0;
    }
    if (arena->node_capacity > 256 * 1024) {
        free(arena->nodes);
        arena->nodes = NULL;
        arena->node_capacity = 0;
    }
}

static inline void orc_arena_free(struct orc_arena *_Nonnull arena) {
    free(arena->nodes);
    free(arena->bytes);
    free(arena);
}

// The reader's own words on why it refused the input.
static inline const char *_Nonnull orc_reader_error(const redisReader *_Nonnull reader) { return reader->errstr; }
