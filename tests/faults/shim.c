/*
 * Faults on demand, preloaded into a program under test: the FAULT_AT-th call (from 1) of FAULT_CALL (read or write) on a file
 * whose path begins with FAULT_PATH fails with the errno FAULT_ERROR; without that, the program is killed before the call.
 * Calls after it fail alike.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static int is_meant(int fd)
{
    const char *path = getenv("FAULT_PATH");
    char link[64], target[4096];
    if (!path)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0)
        return 0;
    target[length] = 0;
    return strncmp(target, path, strlen(path)) == 0;
}

/* True when the call is to fail; errno is set. */
static int fails(int fd, const char *call)
{
    const char *meant = getenv("FAULT_CALL"), *at = getenv("FAULT_AT"), *error = getenv("FAULT_ERROR");
    if (!meant || !at || strcmp(meant, call) || !is_meant(fd))
        return 0;
    if (atomic_fetch_add(&calls, 1) + 1 < atol(at))
        return 0;
    if (!error)
        kill(getpid(), SIGKILL);
    errno = atoi(error ? error : "5");
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *into, size_t length)
{
    return fails(fd, "read") ? -1 : REAL(read)(fd, into, length);
}

ssize_t pread64(int fd, void *into, size_t length, off64_t at)
{
    return fails(fd, "read") ? -1 : REAL(pread64)(fd, into, length, at);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    return fails(fd, "read") ? -1 : REAL(readv)(fd, parts, count);
}

ssize_t write(int fd, const void *from, size_t length)
{
    return fails(fd, "write") ? -1 : REAL(write)(fd, from, length);
}

ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at)
{
    return fails(fd, "write") ? -1 : REAL(pwrite64)(fd, from, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails(fd, "write") ? -1 : REAL(writev)(fd, parts, count);
}
