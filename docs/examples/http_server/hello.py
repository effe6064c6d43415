"""A Starlette application for the example server and its measurements."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def home(request):
    return PlainTextResponse("Hello from Python\n")


async def greet(request):
    return JSONResponse({"hello": request.path_params["name"]})


async def size(request):
    total = 0
    async for piece in request.stream():
        total += len(piece)
    return JSONResponse({"bytes": total})


async def ticks(request):
    async def lines():
        for number in range(int(request.query_params.get("n", "5"))):
            yield f"data: {number}\n\n"
            await asyncio.sleep(float(request.query_params.get("every", "0.2")))

    return StreamingResponse(lines(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route("/", home),
        Route("/greet/{name}", greet),
        Route("/size", size, methods=["POST", "PUT"]),
        Route("/ticks", ticks),
    ]
)


async def bare(scope, receive, send):
    """The same without a framework."""
    if scope["type"] != "http":
        raise NotImplementedError
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"18")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello from Python\n"})
