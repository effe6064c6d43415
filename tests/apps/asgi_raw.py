"""ASGI applications without a framework: one for each thing that a server has to get right."""

import asyncio

import erlang
from asgi_validator import validated

OK = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


# What the test says while a request runs.
flags = {}


def flag(name, value):
    flags[name] = value


def flags_get(name):
    return flags.get(name)


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def read(receive):
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("client has gone")
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return pieces


@validated
async def echo(scope, receive, send):
    pieces = await read(receive)
    headers = [(b"x-pieces", str(len(pieces)).encode()), (b"x-largest", str(max(map(len, pieces))).encode())]
    await send({**OK, "headers": headers})
    await send(body(b"".join(pieces)))


seen = {}


@validated
async def remember(scope, receive, send):
    """Keeps the scope for the test to look at."""
    seen["scope"] = scope
    await send({**OK, "headers": scope["headers"]})
    await send(body())


def scope(*names):
    def shown(value):
        return repr(dict(sorted(value.items())) if isinstance(value, dict) else value)

    return {name: shown(seen["scope"].get(name)) for name in names}


def interned():
    import sys

    return all(key is sys.intern(key) for key in seen["scope"])


shared = []


def asgi_is_shared():
    shared.append(seen["scope"]["asgi"])
    return all(one is shared[0] for one in shared)


@validated
async def pieces(scope, receive, send):
    await send({**OK, "headers": ()})
    for number in range(int(scope["query_string"])):
        await send(body(b"%d," % number, True))
    await send(body(b"end"))


async def status(scope, receive, send):
    await send({**OK, "status": int(scope["query_string"])})
    await send(body(b"some content"))


async def trouble(scope, receive, send):
    what = scope["path"][1:]
    if what == "raise":
        raise ValueError("before start")
    if what == "exit":
        raise SystemExit("before start")
    if what == "nothing":
        return
    if what == "body_first":
        await send(body(b"x"))
    if what == "unknown":
        await send({"type": "http.response.unknown"})
    if what == "push":
        await send({"type": "http.response.push", "path": "/", "headers": []})
    await send({**OK, "headers": [(b"content-length", b"4")] if "length" in what else []})
    if what == "twice":
        await send(OK)
    if what == "start_only":
        return
    if what == "raise_started":
        raise ValueError("after start")
    if what == "length_long":
        await send(body(b"12345"))
    if what == "length_short":
        await send(body(b"123"))
    if what == "text":
        await send(body("text"))
    await send(body(b"abcd", what == "raise_in_body"))
    if what == "raise_in_body":
        raise ValueError("in body")
    if what == "raise_done":
        raise ValueError("after the response")
    if what == "again":
        await send(body(b"more"))


async def bad_header(scope, receive, send):
    await send({**OK, "headers": [(b"x", scope["query_string"].replace(b"+", b"\r\n"))]})
    await send(body())


async def text_header(scope, receive, send):
    await send({**OK, "headers": [("x", "y")]})
    await send(body())


@validated
async def after_response(scope, receive, send):
    """What receive gives after the response: it waits until then."""
    await read(receive)
    waiting = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    early = waiting.done()
    await send(OK)
    await send(body(b"early" if early else b"waits"))
    erlang.send(scope["to"], ("after", (await waiting)["type"], (await receive())["type"]))


@validated
async def background(scope, receive, send):
    """Goes on after its response until Erlang says so."""
    await send(OK)
    await send(body(b"done"))
    while not flags.get("go"):
        await asyncio.sleep(0.005)
    erlang.send(scope["to"], "background")


@validated
async def hang(scope, receive, send):
    """Waits for ever, and tells how it ends."""
    await read(receive)
    try:
        erlang.send(scope["to"], "started")
        if scope["path"] == "/started":
            await send(OK)
            await send(body(b"first", True))
        message = await receive()
        erlang.send(scope["to"], message["type"])
        await send(body(b"nobody wants this"))
    except (asyncio.CancelledError, erlang.Interrupted):
        # The latter in a first step that runs eagerly.
        erlang.send(scope["to"], "cancelled")
        raise
    finally:
        erlang.send(scope["to"], "finally")


async def endless(scope, receive, send):
    """Sends without ever waiting, and says how far it has got."""
    await send(OK)
    number = 0
    try:
        while True:
            await send(body(b"%d" % number, True))
            number += 1
            flags["sent"] = number
    finally:
        erlang.send(scope["to"], "stopped")


class Meeting:
    """Answers when as many requests are here as the query says."""

    def __init__(self):
        self.waiting = []

    async def __call__(self, scope, receive, send):
        count = int(scope["query_string"])
        here = asyncio.get_running_loop().create_future()
        self.waiting.append(here)
        if len(self.waiting) == count:
            for one in self.waiting:
                one.set_result(None)
            self.waiting = []
        await here
        await send(OK)
        await send(body(scope["path"].encode()))


meet = Meeting()


class Lifespan:
    """Counts what it is told, and fails where its name says so."""

    def __init__(self, way):
        self.way = way
        self.starts = 0
        self.requests = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
        else:
            self.requests += 1
            state = scope["state"]
            answer = f"{self.starts} {state.get('shared')} {state.get('own')}"
            state["own"] = self.requests
            if "shared" in state:
                state["shared"].append(self.requests)
            await send(OK)
            await send(body(answer.encode()))

    async def live(self, scope, receive, send):
        if self.way == "unsupported":
            raise KeyError("lifespan")
        if self.way == "returns":
            return
        check = (await receive())["type"] == "lifespan.startup"
        self.starts += check
        erlang.send("lifespan_test", ("startup", self.way))
        while flags.get(self.way) == "wait":
            await asyncio.sleep(0.005)
        if self.way == "fails" and flags.get(self.way) != "fine":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        scope["state"]["shared"] = []
        await send({"type": "lifespan.startup.complete"})
        check = (await receive())["type"] == "lifespan.shutdown"
        erlang.send("lifespan_test", ("shutdown", self.way, check))
        if self.way == "slow":
            await asyncio.sleep(0.2)
        await send({"type": "lifespan.shutdown.complete"})
        erlang.send("lifespan_test", ("down", self.way))


lifespan_good = validated(Lifespan("good"))
lifespan_unsupported = Lifespan("unsupported")
lifespan_returns = Lifespan("returns")
lifespan_fails = Lifespan("fails")
lifespan_waits = Lifespan("waits")
lifespan_slow = Lifespan("slow")


async def mine(scope, receive, send):
    """Only where the test has set a flag."""
    assert flags.get("mine"), "another worker"
    await send({**OK, "headers": []})
    await send(body(b"end"))


class Nested:
    app = staticmethod(echo)


made = []


def factory():
    made.append(1)
    return echo


async def run(module, name, scope, content):
    """As a runner of the user."""
    return 201, [("x-module", module), (b"x-name", name.encode())], scope["path"].encode() + b" " + content
