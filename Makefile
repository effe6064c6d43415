# Continuous integration calls these targets and nothing else.
export PATH := $(PATH):$(HOME)/.cargo/bin
# py_core is loaded by whichever interpreter a pool chooses: it links against none and needs none to build.
export PYO3_BUILD_EXTENSION_MODULE = 1
export PYO3_NO_PYTHON = 1

TARGET = $(or $(CARGO_TARGET_DIR),target)
ERL = erl -noshell -pa _build/default/lib/*/ebin

.PHONY: run doctor test build native cargo dist lint fmt bench soak loom fuzz fuzz-asan docs chunks clean

run: build
	$(ERL) -eval 'py_demo:main(), halt().'

# What is wrong here and how to mend it, also where nothing could be built: the Erlang part is enough.
# OPTIONS are those of a pool, for example OPTIONS='\#{python => "/opt/python/bin/python3"}'; CONFIG is a sys.config.
doctor:
	@test -e _build/default/lib/erlang_python/ebin/py_doctor.beam || \
	{ mkdir -p _build/doctor/erlang_python/ebin && ln -sfn ../../../priv _build/doctor/erlang_python/priv && \
	erlc -o _build/doctor/erlang_python/ebin src/*.erl; }
	@$(ERL) -pz _build/doctor/erlang_python/ebin $(if $(CONFIG),-config $(CONFIG)) -eval 'py_doctor:main($(if $(filter command line,$(origin OPTIONS)),$(OPTIONS))).'

test: build
	.ci/setup test
	tests/run

build:
	@.ci/setup build
	rebar3 compile

# Each free-threaded interpreter of these, by name or path, gets a py_core of its own: it has no ABI that is common to versions.
FREE_THREADED = python3.14t python3.15t
export FREE_THREADED_TAG = import sys, sysconfig; v = sys.version_info[:2]; \
	sys.exit(1) if v < (3, 14) or not sysconfig.get_config_var("Py_GIL_DISABLED") else print("cpython-%d%dt" % v)

# What rebar3 and Mix call, here and where this repository is a dependency.
native:
	@case "`uname -sm`" in "Linux x86_64" | "Linux aarch64") ;; \
	*) echo "could not build erlang_python: it needs Linux on x86_64 or aarch64, this is `uname -sm`" >&2; exit 1 ;; esac
	@native/prebuilt; case $$? in 0) ;; 1) $(MAKE) --no-print-directory cargo ;; *) exit 1 ;; esac
	@mkdir -p priv/python
	@install -C -m 644 worker/python/make_venv.py worker/python/describe.py priv
	@install -C -m 644 worker/python/erlang.py worker/python/erlang.pyi worker/python/_erlang_venv.py worker/python/_erlang_gen*.py priv/python

# The native parts from source; cargo decides what there is to do.
cargo:
	@command -v cargo >/dev/null || { \
	echo "could not build erlang_python: no cargo on PATH; install Rust 1.91 or later (https://rustup.rs)," \
	"or name prebuilt native parts by PY_PREBUILT" >&2; exit 1; }
	@test -e $(TARGET)/release/libpy_nif.so || echo "native parts: building them from source, which takes a minute or two the first time"
	cargo build --release --locked -p py_nif -p py_core -p py_host
	@mkdir -p priv
	@install -C $(TARGET)/release/libpy_nif.so priv/py_nif.so
	@install -C $(TARGET)/release/libpy_core.so priv/py_core.so
	@install -C $(TARGET)/release/py_host priv/py_host
	@for python in $(FREE_THREADED); do \
	command -v $$python >/dev/null || continue; \
	tag=`$$python -c "$$FREE_THREADED_TAG" 2>/dev/null` || { \
	echo "no worker is built for $$python: it is no free-threaded CPython from 3.14 on" >&2; continue; }; \
	env -u PYO3_NO_PYTHON PYO3_PYTHON=$$python \
	cargo build --release --locked -p py_core --features free-threaded --target-dir $(TARGET)/$$tag || exit 1; \
	install -C $(TARGET)/$$tag/release/libpy_core.so priv/py_core.$$tag.so || exit 1; \
	done

# A tarball of the native parts, for machines without Rust.
dist:
	@rm -f priv/prebuilt.* priv/py_core.*.so
	@$(MAKE) --no-print-directory cargo
	@native/dist

lint:
	@.ci/setup lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p py_core --features free-threaded -- -D warnings
	rebar3 do xref, dialyzer
	python3 tests/coverage.py
	_build/venv/bin/ruff check .

fmt:
	cargo fmt --all

# OPTIONS is the argument of py_unified_bench:run_all/1, for example OPTIONS='#{rounds => 9}'.
OPTIONS = \#{}
bench: build
	cargo bench --locked -p shm-proto -p py_nif -p py_host
	$(ERL) -eval 'py_unified_bench:run_all($(OPTIONS)), halt().'

# Everything at once for MINUTES, under deaths of workers; leaves bench/results/soak.svg and fails if anything grows.
MINUTES = 5
soak: build
	PY_SOAK_MINUTES=$(MINUTES) rebar3 ct --suite tests/py_soak_SUITE

loom:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(TARGET)/loom LOOM_MAX_PREEMPTIONS=3 \
	cargo test --locked --release -p shm-proto --test 'loom_*'

# RUNS is the number of executions of each target, TARGETS their names (all by default).
RUNS = 100000
fuzz:
	fuzz/run -r $(RUNS) $(TARGETS)

fuzz-asan:
	fuzz/run -a -r $(RUNS) $(TARGETS)

docs:
	python3 tests/coverage.py --write
	cargo doc --locked --no-deps --workspace --document-private-items
	rebar3 edoc
	$(MAKE) --no-print-directory chunks

# What h(py) in a shell and documentation tools read, doc/chunks.
chunks:
	@erl -noshell -eval 'ok = edoc:files(filelib:wildcard("erl/src/*.erl"), [{dir, "doc"}, {doclet, edoc_doclet_chunks}, {layout, edoc_layout_chunks}, preprocess]), halt().'

clean:
	rm -rf _build priv doc target
