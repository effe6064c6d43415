"""Tells py_doctor what an interpreter is: a mark, then lines of a key, a tab and a value.

Run by whatever calls itself Python, also by what no worker can run on, so it is valid Python 2 and takes nothing for granted: what
cannot be told is left out.
"""

import os
import platform
import sys

MARK = "erlang_python describe"


def version():
    return ".".join([str(part) for part in sys.version_info[:3]])


def bits():
    return "64" if sys.maxsize > 2**32 else "32"


def build(name):
    """A variable of the build, which Debian's may tell of the library and not of the program."""
    import sysconfig

    return sysconfig.get_config_var(name) or ""


def flags():
    """Options of the build that decide how fast it is and which extension modules it loads."""
    found = [word for word in str(build("OPT")).split() if word.startswith("-O")]
    found += [name for name in ("--enable-optimizations", "--with-lto") if name in str(build("CONFIG_ARGS"))]
    return " ".join(found)


def libpython():
    """The shared library of which the interpreter is, if it is of one."""
    with open("/proc/self/maps") as maps:
        found = [line.split(None, 5)[-1].strip() for line in maps if "libpython" in line]
    return found[0] if found else "none"


def environment():
    """The environment's home in its pyvenv.cfg."""
    with open(os.path.join(sys.prefix, "pyvenv.cfg")) as file:
        return [line.split("=", 1)[1].strip() for line in file if line.split("=")[0].strip() == "home"][0]


def site_packages():
    import sysconfig

    return sysconfig.get_path("purelib")


def module(name):
    """The version of a module, as far as it tells one."""
    return getattr(__import__(name), "__version__", "there")


FACTS = [
    ("implementation", platform.python_implementation),
    ("version", version),
    ("build", lambda: sys.version),
    ("bits", bits),
    ("executable", lambda: sys.executable),
    ("prefix", lambda: sys.prefix),
    ("base_prefix", lambda: getattr(sys, "base_prefix", sys.prefix)),
    ("venv_home", environment),
    ("free_threaded", lambda: "1" if build("Py_GIL_DISABLED") else "0"),
    ("debug", lambda: "1" if hasattr(sys, "gettotalrefcount") else "0"),
    ("flags", flags),
    ("libpython", libpython),
    ("site_packages", site_packages),
    ("pip", lambda: module("pip")),
    ("venv", lambda: module("venv")),
    ("ensurepip", lambda: module("ensurepip")),
    ("pythonhome", lambda: os.environ["PYTHONHOME"]),
    ("pythonpath", lambda: os.environ["PYTHONPATH"]),
]


def main():
    lines = [MARK]
    for key, tell in FACTS:
        # Whatever a broken installation raises.
        try:
            value = " ".join(str(tell()).split("\n"))
        except Exception:
            continue
        lines.append(key + "\t" + value)
    output = getattr(sys.stdout, "buffer", sys.stdout)
    text = "\n".join(lines) + "\n"
    output.write(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))


main()
