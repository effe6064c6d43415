"""A Starlette application: routing, JSON, forms, uploads, streams, middleware, background tasks, lifespan."""

import asyncio
import contextlib
import hashlib

from asgi_validator import validated
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route

events = []


@contextlib.asynccontextmanager
async def lifespan(app):
    events.append("startup")
    yield {"database": "connected"}
    events.append("shutdown")


async def home(request):
    return PlainTextResponse("home")


async def item(request):
    return JSONResponse({"id": request.path_params["id"], "query": dict(request.query_params), "state": request.state.database})


async def data(request):
    sent = await request.json()
    return JSONResponse({"got": sent, "type": request.headers["content-type"]}, status_code=201)


async def form(request):
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request):
    async with request.form() as fields:
        file = fields["file"]
        content = await file.read()
        return JSONResponse(
            {
                "name": file.filename,
                "type": file.content_type,
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "note": fields["note"],
            }
        )


async def count_stream(request):
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return PlainTextResponse(str(size))


async def stream(request):
    async def numbers():
        for number in range(int(request.query_params.get("n", "10"))):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingResponse(numbers(), media_type="text/plain")


async def server_events(request):
    async def forever():
        number = 0
        try:
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.001)
        finally:
            events.append("stream closed")

    return StreamingResponse(forever(), media_type="text/event-stream")


async def fail(request):
    raise ValueError("a bug")


async def teapot(request):
    raise HTTPException(status_code=418, detail="short and stout")


async def background(request):
    async def later(what):
        await asyncio.sleep(0)
        events.append(what)

    return JSONResponse({"accepted": True}, background=BackgroundTask(later, "background ran"))


async def cookies(request):
    response = Response(request.cookies.get("seen", "nothing"))
    response.set_cookie("seen", "yes")
    response.set_cookie("other", "too")
    return response


async def thread(request):
    import threading

    from starlette.concurrency import run_in_threadpool

    main = await run_in_threadpool(lambda: threading.current_thread() is threading.main_thread())
    return JSONResponse({"main_thread": main})


async def who(request):
    return JSONResponse({"client": request.client.host, "url": str(request.url), "root": request.scope["root_path"]})


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = request.method
        return response


application = Starlette(
    lifespan=lifespan,
    middleware=[Middleware(Stamp)],
    routes=[
        Route("/", home),
        Route("/items/{id:int}", item),
        Route("/data", data, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/count", count_stream, methods=["POST"]),
        Route("/stream", stream),
        Route("/events", server_events),
        Route("/fail", fail),
        Route("/teapot", teapot),
        Route("/background", background),
        Route("/cookies", cookies),
        Route("/thread", thread),
        Route("/away", lambda request: RedirectResponse("/")),
        Mount("/sub", routes=[Route("/who", who)]),
    ],
)
app = validated(application)
zipped = validated(GZipMiddleware(Starlette(routes=[Route("/long", lambda r: PlainTextResponse("abc" * 10000))])))
