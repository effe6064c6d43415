"""A Django application in one file, behind its ASGI and its WSGI handler."""

import asyncio

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEBUG=False,
        DEFAULT_CHARSET="utf-8",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.gzip.GZipMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for tests",
        USE_TZ=True,
    )
    django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def home(request):
    return HttpResponse(f"{request.method} {request.path} {request.GET.get('q')}")


async def wait(request):
    await asyncio.sleep(0.01)
    return JsonResponse({"waited": True})


def form(request):
    upload = request.FILES.get("file")
    return JsonResponse(
        {
            "fields": request.POST.dict(),
            "file": upload and {"name": upload.name, "size": upload.size},
            "length": request.headers.get("content-length"),
        }
    )


def query(request):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select 6 * 7")
        return JsonResponse({"answer": cursor.fetchone()[0]})


def stream(request):
    return StreamingHttpResponse(f"{number}," for number in range(100))


def fail(request):
    raise ValueError("a bug")


urlpatterns = [
    path("", home),
    path("wait", wait),
    path("form", form),
    path("query", query),
    path("stream", stream),
    path("fail", fail),
    path("where/<str:name>", lambda request, name: HttpResponse(name)),
]

asgi = get_asgi_application()
wsgi = get_wsgi_application()
