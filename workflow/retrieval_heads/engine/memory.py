"""How much memory this process may still take: limits of the machine, of its control groups, and of itself."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc/self")
# Version of control groups → files with limits, file with use, and what in memory.stat is kept only as long as nobody
# needs the memory: copies of files, without those that exist in memory alone.
_GROUP_FILES = {
    2: (("memory.max", "memory.high"), "memory.current", ("file", "shmem")),
    1: (("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_cache", "total_shmem")),
}


def memory_left(used: int, proc: Path = _PROC) -> int:
    """Bytes that this process can still take before a limit ends it.

    The machine's memory counts as a whole, whatever others do with it, so that the answer is the same from run to run.
    A limit of a control group (as schedulers and containers set it) or of the process (``ulimit -v``) is shared with
    what is in use already, so that counts against it.

    Parameters
    ----------
    used : bytes that this process has taken for what it works with, as a model's weights.
    proc : where the kernel tells about this process. Where it does not, as outside of Linux, only the machine's memory
        counts.
    """
    left = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - used]
    # Weights that are read as they are needed are not yet in use.
    left += [limit - max(used, in_use) for limit, in_use in (*_group_limits(proc), *_own_limits(proc))]
    return max(0, min(left))


def _own_limits(proc: Path) -> Iterator[tuple[int, int]]:
    """Limits of the process itself, each with how much of it is in use."""
    sizes = _table(proc / "status", ":")
    for kind, size in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and size in sizes:
            yield limit, 1024 * int(sizes[size].split()[0])


def _group_limits(proc: Path) -> Iterator[tuple[int, int]]:
    """Limits of the process's control groups and of all around them, each with how much of it is in use."""
    for version, group, top in _memory_groups(proc):
        limits, use, copies = _GROUP_FILES[version]
        for folder in (group, *group.parents):
            found = [int(text) for name in limits if (text := _text(folder / name)).isdecimal()]
            in_use = _text(folder / use)
            if found and in_use.isdecimal():
                stat = _table(folder / "memory.stat")
                cached, shared = (int(stat.get(name, 0)) for name in copies)
                yield min(found), max(0, int(in_use) - max(0, cached - shared))
            if folder == top:
                break


def _memory_groups(proc: Path) -> Iterator[tuple[int, Path, Path]]:
    """Version, folder of this process's group, and folder of the outermost that it can see, for each hierarchy."""
    groups = {}
    for line in _text(proc / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            groups[2] = path
        elif "memory" in controllers.split(","):
            groups[1] = path
    for line in _text(proc / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        (root, mount), (kind, _, options) = before.split()[3:5], after.split(maxsplit=2)
        version = 2 if kind == "cgroup2" else 1 if kind == "cgroup" and "memory" in options.split(",") else None
        if version in groups:
            # A container may see its own group as the outermost, and yet be told the name that it has outside.
            inside = os.path.relpath(groups[version], root)
            folder = Path(mount) if inside.startswith("..") else Path(mount, inside)
            yield version, folder, Path(mount)


def _table(file: Path, separator: str | None = None) -> dict[str, str]:
    pairs = (line.split(separator, 1) for line in _text(file).splitlines())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
