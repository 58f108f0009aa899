"""Limits of memory for servers under test: an address space, and a control group of the kernel."""

import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import pytest

GROUPS = pathlib.Path("/sys/fs/cgroup")


def field(pid, name):
    """Of /proc/PID/status, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise KeyError(name)


def limit_address_space(pid, limit=None):
    """Of the process, and of children that it starts from now on. Without a limit: as it was."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    if limit and hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.prlimit(pid, resource.RLIMIT_AS, (limit or hard, hard))


class ControlGroup:
    """With a limit of memory: below this process's own group (version 1 of the kernel's interface), or below the root (version 2), so that
    nothing else is touched. Skips the test where none may be made.

    128 MB of it are taken from the start, by no process. Wishes to be ended first are thousandths of the limit: servers of models have
    gigabytes, but of 10 MB, all that one of a small model needs, 300 thousandths are less than the front itself."""

    TAKEN = 128 << 20

    def __init__(self):
        groups = {line.split(":", 2)[1]: line.split(":", 2)[2].strip() for line in open("/proc/self/cgroup")}
        self.old = "memory" in groups
        above = GROUPS / "memory" / groups["memory"].lstrip("/") if self.old else GROUPS
        self.folder = above / f"vlmd-test-{os.getpid()}"
        self.taken = os.memfd_create("taken")
        try:
            self.folder.mkdir()
            self.limit()
            subprocess.run([*self.launcher(), "head", "-c", str(self.TAKEN), "/dev/zero"], stdout=self.taken, check=True)
        except OSError as error:
            self.close()
            pytest.skip(f"SKIPPED: no control group for memory may be made here ({error})")

    def launcher(self):
        """What a command begins with to run inside."""
        return ["sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh"]

    def limit(self, limit=None):
        if self.old:
            (self.folder / "memory.limit_in_bytes").write_text(str(limit or -1))
        else:
            (self.folder / "memory.max").write_text(str(limit or "max"))
            (self.folder / "memory.swap.max").write_text("0" if limit else "max")

    def used(self):
        """What cannot be given back: all but the pages of files."""
        name, total = ("memory.usage_in_bytes", "total_cache") if self.old else ("memory.current", "file")
        stat = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        files = int(stat[total]) - int(stat["total_shmem" if self.old else "shmem"])
        return max(0, int((self.folder / name).read_text()) - files)

    def close(self):
        """When its processes have ended, which takes the kernel a moment."""
        if self.taken >= 0:
            os.close(self.taken)
            self.taken = -1
        for _ in range(500):
            try:
                self.folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)


def read_whole(program):
    """The program and its libraries, so that the pages of their files count as those of the test: a control group that had to bring them in
    could not keep them, and would read them again and again."""
    libraries = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    for path in [program, *re.findall(r"(/\S+) \(0x", libraries)]:
        pathlib.Path(path).read_bytes()


def model_with_large_images(model, folder):
    """The same model, but for the size at which it is shown images: one needs memory that counts. A copy, so that the pages of its files
    count as those of the test, and no control group of a server has to read them again and again."""
    copy = pathlib.Path(folder) / "large-images"
    copy.mkdir()
    for file in model.iterdir():
        if file.name in ("preprocessor_config.json", "processor_config.json"):
            (copy / file.name).write_text(file.read_text().replace("112896", "2000000"))
        else:
            shutil.copy(file, copy)
    return copy
