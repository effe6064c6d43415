def bootstrap(core, control_in, control_out, keeper):
    del globals()["bootstrap"]
    import _frozen_importlib
    import _imp
    import sys

    if sys.path and sys.path[0] == "":
        del sys.path[0]
    # Children of multiprocessing get the path of their parent; the module erlang that they find there can be imported.
    sys.path.append(core[: core.rindex("/") + 1] + "python")
    pool, number = sys.argv[2:4]
    sys.argv = [""]
    try:
        spec = _frozen_importlib.ModuleSpec("_erlang_python", None, origin=core)
        serve = _imp.create_dynamic(spec).serve
    except BaseException as error:
        import posix

        text = f"could not load the worker core: {type(error).__name__}: {error}"
        frame = b"f" + text.encode("utf-8", "replace")[:4096]
        posix.write(control_out, len(frame).to_bytes(2, "big") + frame)
        raise SystemExit(1) from None
    serve(control_in, control_out, keeper, pool, number)
