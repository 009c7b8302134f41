"""The process in which untrusted code runs: it shuts itself in, then runs one file. Started by ``sandbox.py`` alone.

It is run as a script in a bare interpreter, so it imports the standard library only. What it could shut is its first
line on the report pipe, as JSON; the code that it runs says there that it came to its end.
"""

import ctypes
import json
import os
import resource
import runpy
import signal
import sys

NEW_USER, NEW_PROCESSES, NEW_NETWORK, NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
DIE_WITH_PARENT, NO_NEW_PRIVILEGES = 1, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
WRITE_FILE, WRITES, REFER, TRUNCATE = 1 << 1, 0b1111111110010, 1 << 13, 1 << 14
BLOCKED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.kill", "ctypes.dlopen")
WRITING = {"os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.mkdir"}
WRITING |= {"os.rmdir", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile"}


def main() -> None:
    """Shut in, then run: arguments are the limits as JSON, the report pipe's number, the folder and the program."""
    limits, report, folder, program = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    namespaces = enter_namespaces(libc)
    landlock = restrict_writing(libc, folder)
    if namespaces:
        limits["RLIMIT_NPROC"] = 128  # counted within the namespace
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            try:
                resource.setrlimit(kind, (value, value))
            except (OSError, ValueError):  # some systems know a limit and refuse to set it
                continue
    facts = {
        "network": "own namespace without devices" if namespaces else "sockets refused in Python",
        "files": "Landlock" if landlock else "writing refused in Python",
        "processes": "own namespace" if namespaces else "new processes refused in Python",
    }
    os.write(report, (json.dumps(facts) + "\n").encode())
    if not (namespaces and landlock):
        sys.addaudithook(refuse(folder, contact=not namespaces, writing=not landlock))
    sys.argv = [program]
    runpy.run_path(program, run_name="__main__")


def enter_namespaces(libc) -> bool:
    """Leave the network and see no other process.

    The first process of the namespace only waits for the program, out of its reach: when the one outside is killed it
    dies too, and with it the kernel ends whatever the program had started.
    """
    if libc is None or libc.unshare(NEW_USER | NEW_NETWORK | NEW_PROCESSES | NEW_IPC) != 0:
        return False
    stay_until_ended(os.fork())
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    stay_until_ended(os.fork())
    return True


def stay_until_ended(child: int) -> None:
    """In the parent: wait for the child, then leave with its exit status."""
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


def restrict_writing(libc, folder: str) -> bool:
    """Allow writing below ``folder`` and to /dev/null only, by Landlock (Linux 5.13 and later)."""
    if libc is None:
        return False
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    handled = WRITES | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    attributes = [handled, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0]  # files, TCP, signals and sockets
    ruleset = (ctypes.c_uint64 * 3)(*attributes)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    handle = libc.syscall(CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    if handle < 0:
        return False
    for path, rights in ((folder, handled), ("/dev/null", handled & (WRITE_FILE | TRUNCATE))):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder)
        if libc.syscall(ADD_RULE, handle, 1, rule, 0) != 0:
            return False
        os.close(opened)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or libc.syscall(RESTRICT_SELF, handle, 0) != 0:
        return False
    os.close(handle)
    return True


def refuse(folder: str, contact: bool, writing: bool):
    """A hook that refuses by name what the kernel could not be asked to."""
    inside = os.path.realpath(folder) + os.sep

    def outside(path) -> bool:
        if isinstance(path, int):
            return False
        return not (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(inside) and path != os.devnull

    def hook(event: str, arguments: tuple) -> None:
        if contact and event.startswith(BLOCKED):
            raise PermissionError(f"{event} is not allowed here")
        if writing and event == "open":
            path, mode, flags = arguments
            wants = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if (wants or (mode and set(mode) & set("wax+"))) and outside(path):
                raise PermissionError(f"writing {path} is not allowed here")
        if (
            writing
            and event in WRITING
            and any(outside(path) for path in arguments[:2] if isinstance(path, str | bytes))
        ):
            raise PermissionError(f"{event} is not allowed here")

    return hook


if __name__ == "__main__":
    main()
