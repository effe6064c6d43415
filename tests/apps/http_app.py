"""What tests the example server's streams."""

import asyncio

seen = []
sent = 0
may_go = False
START = {"type": "http.response.start", "status": 200, "headers": []}


def go():
    global may_go
    may_go = True


def clear():
    global sent, may_go
    seen.clear()
    sent = 0
    may_go = False


def body(data, more=True):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def app(scope, receive, send):
    global sent, may_go
    if scope["type"] != "http":
        raise NotImplementedError
    path = scope["path"]
    if path.endswith("/fail"):
        raise ValueError("a bug")
    await send(START)
    if path == "/stream":
        await send(body(b"first"))
        while not may_go:
            await asyncio.sleep(0.005)
        may_go = False
        await send(body(b"second", False))
    elif path == "/stream/broken":
        await send(body(b"first"))
        raise ValueError("in the middle")
    elif path == "/stream/endless":
        try:
            while True:
                await send(body(b"tick"))
                await asyncio.sleep(0.005)
        finally:
            seen.append("closed")
    elif path == "/stream/flood":
        try:
            while True:
                await send(body(b"x" * 65536))
                sent += 1
        finally:
            seen.append("flood stopped")
