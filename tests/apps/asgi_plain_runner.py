"""A runner in a plain function, by its older name."""

import threading


def _run_asgi_sync(module, name, scope, body):
    main = threading.current_thread() is threading.main_thread()
    return 200, [], f"{name} {main} {dict(scope['headers'])!r}".encode()
