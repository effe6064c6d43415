# Finds the CPythons of this machine. Sourced by tests/run.

# Prints the real path of an interpreter if it is a CPython that workers can run on: 3.9 or later, with a GIL.
supported_python() {
    "$1" -c 'import os, sys, sysconfig
if sys.implementation.name == "cpython" and sys.version_info >= (3, 9) and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(os.path.realpath(sys.executable))' 2>/dev/null
}

# Prints every supported interpreter on PATH and under pyenv, one a line, except the one behind $1.
other_pythons() {
    except=$(supported_python "$1")
    {
        for dir in $(echo "$PATH" | tr : ' ') "$HOME"/.pyenv/versions/*/bin; do
            for python in "$dir"/python3 "$dir"/python3.[0-9] "$dir"/python3.[0-9][0-9]; do
                [ ! -x "$python" ] || supported_python "$python" || :
            done
        done
    } | sort -u | grep -vx "$except"
}

# Prints the free-threaded interpreters on PATH and under pyenv that the worker was built for, one a line.
free_threaded_pythons() {
    for dir in $(echo "$PATH" | tr : ' ') "$HOME"/.pyenv/versions/*/bin; do
        for python in "$dir"/python3.[0-9][0-9]t; do
            [ ! -x "$python" ] || "$python" -c 'import os, sys
if os.path.exists("priv/py_core.cpython-%d%dt.so" % sys.version_info[:2]):
    print(os.path.realpath(sys.executable))' 2>/dev/null || :
        done
    done | sort -u
}

# The version of an interpreter; 3.14.0t is free-threaded.
python_version() {
    "$1" -c 'import platform, sysconfig
print(platform.python_version() + "t" * (sysconfig.get_config_var("Py_GIL_DISABLED") or 0))'
}

# Prints version and path of one interpreter of each version, in the order of the versions; of its own version that is the one behind $1.
versions_of_python() {
    for python in "$(supported_python "$1")" $(other_pythons "$1"); do
        echo "$(python_version "$python") $python"
    done | sort -s -t ' ' -k 1,1V -u
}
