/* A disk that fails on demand: preload it, and calls on files of one folder fail as told.

   DISK_FOLDER  the folder; nothing fails where this is not set
   DISK_CALL    which calls count: open, read, write, sync or truncate
   DISK_AT      the first call that fails, counted from 1
   DISK_FOR     how many fail from there on
   DISK_FAULT   an errno (ENOSPC, EIO, EROFS); SHORT, which writes the first half of what the first
                of these calls is given, and then ENOSPC; or KILL, which is SIGKILL before the call
   DISK_KILL    how many calls of any kind come after the first that failed before SIGKILL does
   DISK_BYTES   how many bytes the files may grow by; writes that need more fail with ENOSPC …
   DISK_ROOM    … while there is no file of this name
   DISK_HITS    a file that is told of each call that failed

   The variables are read at the first call after DISK_FOLDER is there. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { SHORT_WRITE = -1, KILL = -2 };

static const char *folder, *call, *room, *hits;
static long first, last, kill_after, bytes_max = -1;
static int fault;
static atomic_long counted, grown, after;
static atomic_int state; /* 0: not read, 1: being read, 2: read */

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

static int fault_named(const char *name) {
    if (!name || !strcmp(name, "ENOSPC")) return ENOSPC;
    if (!strcmp(name, "EIO")) return EIO;
    if (!strcmp(name, "EROFS")) return EROFS;
    if (!strcmp(name, "SHORT")) return SHORT_WRITE;
    if (!strcmp(name, "KILL")) return KILL;
    abort();
}

/* Whether there is anything to do at all. */
static int configured(void) {
    int unread = 0;
    if (atomic_load(&state) == 2) return 1;
    if (!getenv("DISK_FOLDER")) return 0;
    if (!atomic_compare_exchange_strong(&state, &unread, 1)) {
        while (atomic_load(&state) != 2) usleep(10);
        return 1;
    }
    folder = strdup(getenv("DISK_FOLDER"));
    call = getenv("DISK_CALL") ? strdup(getenv("DISK_CALL")) : "";
    room = getenv("DISK_ROOM") ? strdup(getenv("DISK_ROOM")) : NULL;
    hits = getenv("DISK_HITS") ? strdup(getenv("DISK_HITS")) : NULL;
    first = number("DISK_AT", 0);
    last = first + number("DISK_FOR", 1) - 1;
    kill_after = number("DISK_KILL", 0);
    bytes_max = number("DISK_BYTES", -1);
    fault = fault_named(getenv("DISK_FAULT"));
    atomic_store(&state, 2);
    return 1;
}

static int lies_inside(const char *path) {
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && path[length] == '/';
}

static int path_of(int descriptor, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static void tell(const char *name, const char *path) {
    char line[4352];
    if (!hits) return;
    int length = snprintf(line, sizeof line, "%s %s\n", name, path);
    int file = syscall(SYS_openat, AT_FDCWD, hits, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0) return;
    syscall(SYS_write, file, line, length);
    syscall(SYS_close, file);
}

/* The fault that hits this call on a path, or 0. */
static int struck(const char *name, const char *path) {
    if (!lies_inside(path)) return 0;
    if (kill_after && atomic_load(&counted) >= first && atomic_fetch_add(&after, 1) + 1 == kill_after)
        kill(getpid(), SIGKILL);
    if (strcmp(name, call)) return 0;
    long place = atomic_fetch_add(&counted, 1) + 1;
    if (place < first || place > last) return 0;
    tell(name, path);
    if (fault == KILL) kill(getpid(), SIGKILL);
    if (fault == SHORT_WRITE && place > first) return ENOSPC;
    return fault;
}

static int struck_at(const char *name, int descriptor) {
    char path[4096];
    int before = errno, found = 0;
    if (configured() && path_of(descriptor, path, sizeof path)) found = struck(name, path);
    errno = before;
    return found;
}

/* Whether a write of `size` bytes at `offset` (at the end when -1) needs room that is not there. */
static int is_full(int descriptor, size_t size, off_t offset) {
    char path[4096];
    struct stat status;
    if (!configured() || bytes_max < 0) return 0;
    if (!path_of(descriptor, path, sizeof path) || !lies_inside(path)) return 0;
    if (fstat(descriptor, &status)) return 0;
    if (offset < 0) offset = lseek(descriptor, 0, SEEK_CUR);
    long more = offset + (long)size - (long)status.st_size;
    if (more <= 0) return 0;
    if (atomic_load(&grown) + more > bytes_max && room && access(room, F_OK)) {
        tell("full", path);
        return 1;
    }
    atomic_fetch_add(&grown, more);
    return 0;
}

#define REAL(type, name, ...)                                 \
    static type (*real)(__VA_ARGS__);                         \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FAIL(error)     \
    do {                \
        errno = error;  \
        return -1;      \
    } while (0)

static int open_struck(const char *path, int flags) {
    if (flags & O_DIRECTORY || !configured() || path[0] != '/') return 0;
    return struck("open", path);
}

#define OPEN(function)                                                \
    int function(const char *path, int flags, ...) {                  \
        REAL(int, #function, const char *, int, ...);                 \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode_t mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                                 \
        int error = open_struck(path, flags);                         \
        if (error > 0) FAIL(error);                                   \
        return real(path, flags, mode);                               \
    }

#define OPENAT(function)                                              \
    int function(int at, const char *path, int flags, ...) {          \
        REAL(int, #function, int, const char *, int, ...);            \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        mode_t mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                                 \
        int error = open_struck(path, flags);                         \
        if (error > 0) FAIL(error);                                   \
        return real(at, path, flags, mode);                           \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t read(int descriptor, void *data, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    int error = struck_at("read", descriptor);
    if (error > 0) FAIL(error);
    return real(descriptor, data, size);
}

#define PREAD(function, type)                                               \
    ssize_t function(int descriptor, void *data, size_t size, type offset) { \
        REAL(ssize_t, #function, int, void *, size_t, type);                \
        int error = struck_at("read", descriptor);                          \
        if (error > 0) FAIL(error);                                         \
        return real(descriptor, data, size, offset);                        \
    }

PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    int error = struck_at("write", descriptor);
    if (error > 0) FAIL(error);
    if (is_full(descriptor, size, -1)) FAIL(ENOSPC);
    return real(descriptor, data, error == SHORT_WRITE ? (size + 1) / 2 : size);
}

#define PWRITE(function, type)                                                      \
    ssize_t function(int descriptor, const void *data, size_t size, type offset) {  \
        REAL(ssize_t, #function, int, const void *, size_t, type);                  \
        int error = struck_at("write", descriptor);                                 \
        if (error > 0) FAIL(error);                                                 \
        if (is_full(descriptor, size, offset)) FAIL(ENOSPC);                        \
        return real(descriptor, data, error == SHORT_WRITE ? (size + 1) / 2 : size, offset); \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(function)                                 \
    int function(int descriptor) {                     \
        REAL(int, #function, int);                     \
        int error = struck_at("sync", descriptor);     \
        if (error > 0) FAIL(error);                    \
        return real(descriptor);                       \
    }

SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(function, type)                        \
    int function(int descriptor, type size) {           \
        REAL(int, #function, int, type);                \
        int error = struck_at("truncate", descriptor);  \
        if (error > 0) FAIL(error);                     \
        return real(descriptor, size);                  \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)
