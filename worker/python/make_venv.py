"""Makes a virtual environment and installs packages into it. Run by the interpreter that shall own the environment.

One process at a time works in a directory; others wait. What this program began and could not finish is removed: at once,
or by the next run when it was killed. When its standard input ends, whoever wanted the environment is gone, and it stops.

Exit status: 0 it is there; 1 it could not be made, and the output says why; 2 the directory is something else.
"""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading

# Holds what was asked for last and is there.
STAMP = ".erlang_python"
# Lies in a directory that this program has begun.
UNFINISHED = ".erlang_python.unfinished"
OUTPUT = 16384


class Failed(Exception):
    """An installer failed; its output."""


class Steps:
    """Programs, one after another, until nobody wants them."""

    def __init__(self):
        self._lock = threading.Lock()
        self._child = None
        self._begun, self._wanted = False, True
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self):
        """From here on there is something to be cleaned up."""
        with self._lock:
            self._begun = True

    def _watch(self):
        while os.read(0, 4096):
            pass
        with self._lock:
            self._wanted = False
            if not self._begun:
                os._exit(1)
            if self._child:
                os.killpg(self._child.pid, signal.SIGKILL)

    def run(self, *command):
        """Runs a program in a group of its own."""
        with self._lock:
            if not self._wanted:
                raise Failed("nobody waits for it")
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
            )
        output, _ = self._child.communicate()
        with self._lock:
            child, self._child = self._child, None
        if child.returncode != 0:
            raise Failed(f"{' '.join(command)} ended with {child.returncode}:\n{output[-OUTPUT:].decode(errors='replace')}")


def create(steps, path, arguments):
    """Makes the environment, without packages."""
    if arguments.uv:
        steps.run(arguments.uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, path)
    else:
        steps.run(sys.executable, "-I", "-m", "venv", "--without-pip", path)


def install(steps, path, arguments):
    """Installs what is required."""
    python = os.path.join(path, "bin", "python")
    what = [*arguments.option, *arguments.require]
    for file in arguments.file:
        what += ["-r", file]
    if not arguments.require and not arguments.file:
        return
    if arguments.uv:
        steps.run(arguments.uv, "pip", "install", "--quiet", "--python", python, *what)
        return
    try:
        steps.run(python, "-I", "-c", "import pip")
    except Failed:
        steps.run(python, "-I", "-m", "ensurepip", "--default-pip")
    steps.run(python, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *what)


def is_environment(path):
    """Whether the directory is an environment of this version of Python."""
    library = "python{}.{}".format(*sys.version_info)
    return os.path.isfile(os.path.join(path, "pyvenv.cfg")) and os.path.isdir(os.path.join(path, "lib", library))


def make(steps, path, arguments):
    """Works in the directory, which is ours alone."""
    stamp, unfinished = os.path.join(path, STAMP), os.path.join(path, UNFINISHED)
    if os.path.exists(unfinished):
        shutil.rmtree(path)
    ours = not os.path.isdir(path) or not os.listdir(path)
    if not ours:
        if not is_environment(path):
            return 2
        if not arguments.force and os.path.exists(stamp):
            with open(stamp) as file:
                if file.read() == arguments.stamp:
                    return 0
    steps.begin()
    try:
        if ours:
            os.makedirs(path, exist_ok=True)
            with open(unfinished, "w"):
                pass
            create(steps, path, arguments)
        elif os.path.exists(stamp):
            os.unlink(stamp)
        install(steps, path, arguments)
        with open(stamp + ".part", "w") as file:
            file.write(arguments.stamp)
        os.replace(stamp + ".part", stamp)
        if ours:
            os.unlink(unfinished)
    except BaseException:
        if ours:
            shutil.rmtree(path, ignore_errors=True)
        raise
    return 0


def main():
    """Reads the arguments and holds the lock, which is that of the directory above: no file is left for it."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--path", required=True)
    parser.add_argument("--stamp", required=True)
    parser.add_argument("--uv")
    parser.add_argument("--force", action="store_true")
    for several in ("--require", "--file", "--option"):
        parser.add_argument(several, action="append", default=[])
    arguments = parser.parse_args()
    steps = Steps()
    try:
        parent = os.path.dirname(arguments.path)
        os.makedirs(parent, exist_ok=True)
        descriptor = os.open(parent, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return make(steps, arguments.path, arguments)
    except (Failed, OSError) as error:
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
