/* Faults of the disk and of the machine at a chosen call: an LD_PRELOAD library for tests.
 *
 * Every call that changes a disk below FAULTS_UNDER (paths, colon separated) has a number. The count lies in the
 * small file FAULTS_COUNTER, mapped by all processes of a run. At number FAULTS_AT it does FAULTS_DO:
 *
 *   kill                SIGKILL to the whole run, in the place of the call; of a write with an odd number the first
 *                       half is still done
 *   ENOSPC, EIO, EROFS  the call fails so: this one (FAULTS_FOR=once), or from here on each (FAULTS_FOR=on).
 *                       A full disk refuses only what takes room, so ENOSPC waits for such a call.
 *
 * FAULTS_LOG gets a line "number call path" of the first call that was hit, or of every call with FAULTS_TRACE.
 * A run is a session (setsid(2)). Its children get these variables even where their environment is a chosen one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define VARIABLES 8
#define ENVIRONMENT_MOST 1024

static const char *const NAMES[VARIABLES] = {"LD_PRELOAD", "FAULTS_UNDER", "FAULTS_COUNTER", "FAULTS_AT",
                                             "FAULTS_DO", "FAULTS_FOR", "FAULTS_LOG", "FAULTS_TRACE"};
static char *kept[VARIABLES + 1]; /* as NAME=VALUE, for the children */
static const char *under, *log_path, *action = "";
static uint64_t at;
static int failing_errno, fails_on, traces;
static struct shared {
    uint64_t count, hits;
} *shared;

struct call {
    const char *name;
    int takes_room;
    char path[PATH_MAX];
};

__attribute__((constructor)) static void begin(void) {
    int number = 0;
    for (int i = 0; i < VARIABLES; i++) {
        const char *value = getenv(NAMES[i]);
        if (value && asprintf(&kept[number], "%s=%s", NAMES[i], value) > 0)
            number++;
    }
    const char *counter = getenv("FAULTS_COUNTER");
    under = getenv("FAULTS_UNDER");
    log_path = getenv("FAULTS_LOG");
    traces = getenv("FAULTS_TRACE") != NULL;
    if (getenv("FAULTS_AT"))
        at = strtoull(getenv("FAULTS_AT"), NULL, 10);
    if (getenv("FAULTS_DO"))
        action = getenv("FAULTS_DO");
    fails_on = getenv("FAULTS_FOR") && strcmp(getenv("FAULTS_FOR"), "on") == 0;
    failing_errno = !strcmp(action, "ENOSPC") ? ENOSPC : !strcmp(action, "EIO") ? EIO : !strcmp(action, "EROFS") ? EROFS : 0;
    if (!counter || !under)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, counter, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && syscall(SYS_ftruncate, fd, sizeof(struct shared)) == 0) {
        void *mapped = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        shared = mapped == MAP_FAILED ? NULL : mapped;
    }
    syscall(SYS_close, fd);
}

/* Which call on which path */

static int is_below(const char *path) {
    for (const char *prefix = under; prefix && *prefix;) {
        size_t length = strcspn(prefix, ":");
        if (!strncmp(path, prefix, length) && (path[length] == '/' || path[length] == '\0'))
            return 1;
        prefix += length + (prefix[length] == ':');
    }
    return 0;
}

static void name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
}

static struct call on_path(const char *name, int takes_room, int directory, const char *path) {
    struct call call = {.name = name, .takes_room = takes_room};
    if (path[0] == '/') {
        snprintf(call.path, PATH_MAX, "%s", path);
    } else {
        name_of(directory, call.path);
        size_t length = strlen(call.path);
        snprintf(call.path + length, PATH_MAX - length, "/%s", path);
    }
    return call;
}

static struct call on_fd(const char *name, int takes_room, int fd) {
    struct call call = {.name = name, .takes_room = takes_room};
    name_of(fd, call.path);
    return call;
}

/* What happens to it */

static void tell(uint64_t number, const struct call *call) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%llu %s %s\n", (unsigned long long)number, call->name, call->path);
    int fd = log_path ? syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        syscall(SYS_write, fd, line, (size_t)length);
        syscall(SYS_close, fd);
    }
}

static void kill_all(void) {
    kill(-getsid(0), SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Return 1 where the call must fail, with errno set. `half` does half of a write. */
static int is_hit(const struct call *call, void (*half)(void *), void *of) {
    int before = errno;
    if (!shared || !is_below(call->path)) {
        errno = before;
        return 0;
    }
    uint64_t number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
    if (traces)
        tell(number, call);
    errno = before;
    if (!at || number < at || (failing_errno == ENOSPC && !call->takes_room))
        return 0;
    uint64_t hit = __atomic_fetch_add(&shared->hits, 1, __ATOMIC_SEQ_CST);
    if (!hit && !traces)
        tell(number, call);
    if (!strcmp(action, "kill")) {
        if (half && number % 2)
            half(of);
        kill_all();
    }
    errno = before;
    if (!failing_errno || (hit && !fails_on))
        return 0;
    errno = failing_errno;
    return 1;
}

/* The calls */

static int opened(const char *name, int directory, const char *path, int flags, mode_t mode) {
    int is_new = (flags & O_CREAT) && syscall(SYS_faccessat, directory, path, F_OK) != 0;
    if (flags & (O_CREAT | O_TRUNC)) {
        struct call call = on_path(name, is_new, directory, path);
        int only_reads = !is_new && (flags & O_ACCMODE) == O_RDONLY; /* what is there can be opened on any disk */
        if (!only_reads && is_hit(&call, NULL, NULL))
            return -1;
    }
    return syscall(SYS_openat, directory, path, flags, mode);
}

#define OPENS(NAME)                                                                                                    \
    int NAME(const char *path, int flags, ...) {                                                                       \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;                \
        va_end(more);                                                                                                  \
        return opened(#NAME, AT_FDCWD, path, flags, mode);                                                             \
    }
#define OPENS_AT(NAME)                                                                                                 \
    int NAME(int directory, const char *path, int flags, ...) {                                                        \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;                \
        va_end(more);                                                                                                  \
        return opened(#NAME, directory, path, flags, mode);                                                            \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

struct writing {
    int fd;
    const void *data;
    size_t size;
    off_t offset; /* -1: where the descriptor stands */
};

static ssize_t written(const struct writing *it, size_t size) {
    return it->offset < 0 ? syscall(SYS_write, it->fd, it->data, size)
                          : syscall(SYS_pwrite64, it->fd, it->data, size, it->offset);
}

static void half_written(void *of) {
    const struct writing *it = of;
    written(it, it->size / 2);
}

static ssize_t wrote(const char *name, int fd, const void *data, size_t size, off_t offset) {
    struct writing it = {fd, data, size, offset};
    struct call call = on_fd(name, 1, fd);
    return is_hit(&call, half_written, &it) ? -1 : written(&it, size);
}

ssize_t write(int fd, const void *data, size_t size) { return wrote("write", fd, data, size, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return wrote("pwrite", fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return wrote("pwrite64", fd, data, size, offset);
}

#define HIT_FD(NAME, ROOM, FD)                                                                                         \
    struct call call = on_fd(#NAME, ROOM, FD);                                                                         \
    if (is_hit(&call, NULL, NULL))                                                                                     \
        return -1;
#define HIT_PATH(NAME, ROOM, DIRECTORY, PATH)                                                                          \
    struct call call = on_path(#NAME, ROOM, DIRECTORY, PATH);                                                          \
    if (is_hit(&call, NULL, NULL))                                                                                     \
        return -1;

ssize_t writev(int fd, const struct iovec *parts, int count) {
    HIT_FD(writev, 1, fd)
    return syscall(SYS_writev, fd, parts, count);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    HIT_FD(pwritev, 1, fd)
    return syscall(SYS_pwritev, fd, parts, count, offset, 0L);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    HIT_FD(pwritev64, 1, fd)
    return syscall(SYS_pwritev, fd, parts, count, offset, 0L);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    HIT_FD(pwritev2, 1, fd)
    return syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    HIT_FD(pwritev64v2, 1, fd)
    return syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    HIT_FD(copy_file_range, 1, out)
    return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}
ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    HIT_FD(sendfile, 1, out)
    return syscall(SYS_sendfile, out, in, from, size);
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t size) {
    HIT_FD(sendfile64, 1, out)
    return syscall(SYS_sendfile, out, in, from, size);
}

int fsync(int fd) {
    HIT_FD(fsync, 0, fd)
    return syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
    HIT_FD(fdatasync, 0, fd)
    return syscall(SYS_fdatasync, fd);
}
int syncfs(int fd) {
    HIT_FD(syncfs, 0, fd)
    return syscall(SYS_syncfs, fd);
}

static int truncated(const char *name, int fd, off_t size) {
    struct stat facts;
    struct call call = on_fd(name, fstat(fd, &facts) == 0 && size > facts.st_size, fd);
    return is_hit(&call, NULL, NULL) ? -1 : syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return truncated("ftruncate", fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated("ftruncate64", fd, size); }

int rename(const char *from, const char *to) {
    HIT_PATH(rename, 0, AT_FDCWD, to)
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    HIT_PATH(renameat, 0, to_directory, to)
    return syscall(SYS_renameat2, from_directory, from, to_directory, to, 0);
}
int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    HIT_PATH(renameat2, 0, to_directory, to)
    return syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
}
int mkdir(const char *path, mode_t mode) {
    HIT_PATH(mkdir, 1, AT_FDCWD, path)
    return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int mkdirat(int directory, const char *path, mode_t mode) {
    HIT_PATH(mkdirat, 1, directory, path)
    return syscall(SYS_mkdirat, directory, path, mode);
}
int unlink(const char *path) {
    HIT_PATH(unlink, 0, AT_FDCWD, path)
    return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int unlinkat(int directory, const char *path, int flags) {
    HIT_PATH(unlinkat, 0, directory, path)
    return syscall(SYS_unlinkat, directory, path, flags);
}
int rmdir(const char *path) {
    HIT_PATH(rmdir, 0, AT_FDCWD, path)
    return syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
int futimens(int fd, const struct timespec times[2]) {
    HIT_FD(futimens, 0, fd)
    return syscall(SYS_utimensat, fd, NULL, times, 0);
}
int utimensat(int directory, const char *path, const struct timespec times[2], int flags) {
    HIT_PATH(utimensat, 0, directory, path)
    return syscall(SYS_utimensat, directory, path, times, flags);
}

/* A child with a chosen environment belongs to the run as well. No memory is asked for: this may be after vfork(2). */
int execve(const char *path, char *const arguments[], char *const environment[]) {
    char *whole[ENVIRONMENT_MOST];
    int count = 0;
    for (int i = 0; kept[i]; i++)
        whole[count++] = kept[i];
    for (int i = 0; environment && environment[i] && count < ENVIRONMENT_MOST - 1; i++)
        if (strncmp(environment[i], "LD_PRELOAD=", 11) && strncmp(environment[i], "FAULTS_", 7))
            whole[count++] = environment[i];
    whole[count] = NULL;
    return syscall(SYS_execve, path, arguments, whole);
}
