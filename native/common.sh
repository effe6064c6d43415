# What native/prebuilt and native/dist agree on; to be read from the root of the repository.

target() {
    if getconf GNU_LIBC_VERSION >/dev/null 2>&1; then libc=gnu; else libc=musl; fi
    echo "$(uname -m)-unknown-linux-$libc"
}

version() {
    sed -n 's/.*{vsn, "\(.*\)"}.*/\1/p' erl/src/erlang_python.app.src
}

# Everything that the native parts are made of, as one number: prebuilt parts of other sources are not for this build.
sources() {
    find Cargo.toml Cargo.lock shm-proto/Cargo.toml shm-proto/build.rs shm-proto/src nif/Cargo.toml nif/src worker/*/Cargo.toml worker/*/src \
        -type f ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort -k 2 | sha256sum | cut -d ' ' -f 1
}
