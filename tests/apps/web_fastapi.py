"""A FastAPI application: validation, dependencies, files, streams, background tasks, exception handlers."""

import asyncio
from contextlib import asynccontextmanager
from typing import List, Optional  # noqa: UP035 (FastAPI reads the annotations on Python 3.9, too)

from asgi_validator import validated
from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Request,
    UploadFile,
)
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

log = []


@asynccontextmanager
async def lifespan(app):
    app.state.ready = True
    yield
    app.state.ready = False


api = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    name: str
    price: float
    tags: List[str] = []  # noqa: UP006
    note: Optional[str] = None  # noqa: UP045


class Refused(Exception):
    pass


@api.exception_handler(Refused)
async def refused(request: Request, error: Refused):
    return JSONResponse({"refused": str(error)}, status_code=409)


@api.middleware("http")
async def timed(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-middleware"] = "yes"
    return response


def page(skip: int = 0, limit: int = 10):
    return {"skip": skip, "limit": limit}


@api.get("/")
async def root():
    return {"hello": "world", "ready": api.state.ready}


@api.get("/plain")
def plain(q: Optional[str] = None, page: dict = Depends(page)):  # noqa: B008, UP045
    # Runs in a thread.
    return {"q": q, **page}


@api.post("/orders", status_code=201)
async def order(order: Order, x_token: str = Header()):
    return {"order": order, "total": order.price * 2, "token": x_token}


@api.post("/upload")
async def upload(files: List[UploadFile] = File(), note: str = Form()):  # noqa: B008, UP006
    return {"note": note, "files": [{"name": f.filename, "size": len(await f.read())} for f in files]}


@api.get("/stream")
async def stream(n: int = 5):
    async def numbers():
        for number in range(n):
            yield b"%d," % number
            await asyncio.sleep(0)

    return StreamingResponse(numbers())


@api.get("/later")
async def later(tasks: BackgroundTasks):
    tasks.add_task(log.append, "task")
    return {"ok": True}


@api.get("/refuse")
async def refuse():
    raise Refused("no")


@api.get("/missing")
async def missing():
    raise HTTPException(status_code=404, detail="not here")


@api.get("/fail")
async def fail():
    raise KeyError("bug")


@api.get("/slow")
async def slow(seconds: float):
    await asyncio.sleep(seconds)
    return {"slept": seconds}


app = validated(api)
