"""Middleware that holds server and application to the ASGI specification, HTTP and lifespan."""

SCOPE = {
    "type": str,
    "asgi": dict,
    "http_version": str,
    "method": str,
    "scheme": str,
    "path": str,
    "raw_path": bytes,
    "query_string": bytes,
    "root_path": str,
    "headers": list,
    "state": dict,
}


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def check_scope(scope):
    check(type(scope) is dict, "scope is a dict")
    check(all(type(key) is str for key in scope), "keys are str")
    for key, kind in SCOPE.items():
        check(type(scope.get(key)) is kind, f"{key} is {kind.__name__}, not {scope.get(key)!r}")
    check(scope["type"] == "http", "type")
    check(scope["asgi"]["version"] == "3.0" and scope["asgi"]["spec_version"] in ("2.0", "2.1", "2.2", "2.3"), "asgi")
    check(scope["http_version"] in ("1.0", "1.1", "2"), "http_version")
    check(scope["method"] == scope["method"].upper() and scope["method"], "method")
    check(scope["path"].startswith("/"), "path")
    check(b"?" not in scope["raw_path"], "raw_path has no query")
    for header in scope["headers"]:
        name, value = header
        check(type(name) is bytes and type(value) is bytes, "headers are bytes")
        check(name == name.lower(), "header names are lower case")
    for peer in ("client", "server"):
        if scope.get(peer) is not None:
            host, port = scope[peer]
            check(type(host) is str and (type(port) is int or (peer == "server" and port is None)), peer)
    check(not scope.get("extensions"), "no extension is announced")


def check_request(message, ended):
    check(type(message) is dict, "event is a dict")
    if message["type"] == "http.disconnect":
        check(set(message) == {"type"}, "disconnect has no fields")
        return True
    check(message["type"] == "http.request", f"event {message['type']}")
    check(not ended, "no event but http.disconnect follows the body")
    check(type(message.get("body", b"")) is bytes, "body is bytes")
    check(type(message.get("more_body", False)) is bool, "more_body is bool")
    return not message.get("more_body", False)


def validated(app):
    async def checked(scope, receive, send):
        if scope["type"] == "lifespan":
            check(set(scope) == {"type", "asgi", "state"}, "lifespan scope")
            check(scope["asgi"]["version"] == "3.0" and type(scope["state"]) is dict, "lifespan scope")
            return await app(scope, receive, send)
        check_scope(scope)
        ended = False

        async def checked_receive():
            nonlocal ended
            message = await receive()
            ended = check_request(message, ended)
            return message

        async def checked_send(message):
            check(await send(message) is None, "send returns nothing")

        check(await app(scope, checked_receive, checked_send) is None, "application returns nothing")

    return checked
