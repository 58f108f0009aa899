#include "ipc/shared_memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int anonymous_file(struct vlmd_error *err)
{
#ifdef MFD_CLOEXEC
    int fd = memfd_create("vlmd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#else
    char name[32];
    static unsigned counter;
    snprintf(name, sizeof name, "/vlmd-%ld-%u", (long)getpid(), counter++);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
        shm_unlink(name);
#endif
    if (fd < 0)
        return err_errno(err, NULL, "cannot create shared memory");
    return fd;
}

int shared_memory_create(size_t size, struct vlmd_error *err)
{
    int fd = anonymous_file(err);
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)size) < 0) {
        err_errno(err, NULL, "cannot reserve %zu bytes of shared memory", size);
        close(fd);
        return -1;
    }
    return fd;
}

static int check_size(int fd, size_t size, bool exactly, struct vlmd_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, NULL, "cannot examine shared memory");
    if (st.st_size < 0 || (uint64_t)st.st_size < size || (exactly && (uint64_t)st.st_size != size))
        return err_set(err, VLMD_FORMAT, NULL, "shared memory has %lld bytes instead of %zu",
                       (long long)st.st_size, size);
    return 0;
}

int shared_memory_fix_size(int fd, size_t size, struct vlmd_error *err)
{
#ifdef F_ADD_SEALS
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return err_errno(err, NULL, "cannot fix the size of shared memory");
#endif
    return check_size(fd, size, true, err);
}

int shared_memory_seal(int fd, size_t size, struct vlmd_error *err)
{
#ifdef F_ADD_SEALS
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return err_errno(err, NULL, "cannot seal shared memory");
#endif
    return check_size(fd, size, true, err);
}

/* A reader's mapping is private where memory can be sealed: kernels before 6.7 take a shared one
 * for one that may become writable, and refuse it. The pages are the same. */
#ifdef F_ADD_SEALS
#define MAP_FOR_READING MAP_PRIVATE
#else
#define MAP_FOR_READING MAP_SHARED
#endif

static int map(int fd, size_t size, int protection, struct shared_map *out, struct vlmd_error *err)
{
    *out = (struct shared_map){0};
    if (size == 0)
        return 0;
    if (check_size(fd, size, false, err) < 0)
        return -1;
    void *data =
        mmap(NULL, size, protection, protection == PROT_READ ? MAP_FOR_READING : MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return err_errno(err, NULL, "cannot map %zu bytes of shared memory", size);
    *out = (struct shared_map){data, size};
    return 0;
}

int shared_memory_map_read(int fd, size_t size, struct shared_map *out, struct vlmd_error *err)
{
    return map(fd, size, PROT_READ, out, err);
}

int shared_memory_map_write(int fd, size_t size, struct shared_map *out, struct vlmd_error *err)
{
    return map(fd, size, PROT_READ | PROT_WRITE, out, err);
}

void shared_memory_unmap(struct shared_map *m)
{
    if (m->data)
        munmap(m->data, m->size);
    *m = (struct shared_map){0};
}

int shared_memory_copy(const void *bytes, size_t size, struct vlmd_error *err)
{
    struct shared_map copy;
    int fd = shared_memory_create(size, err);
    if (fd < 0)
        return -1;
    if (shared_memory_map_write(fd, size, &copy, err) < 0) {
        close(fd);
        return -1;
    }
    if (size > 0)
        memcpy(copy.data, bytes, size);
    shared_memory_unmap(&copy);
    return fd;
}
