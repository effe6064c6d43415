"""A Flask application."""

import hashlib

from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    request,
    session,
    stream_with_context,
)

app = Flask(__name__)
app.secret_key = "only for tests"
closed = []


@app.get("/")
def home():
    return "home"


@app.get("/items/<int:number>")
def item(number):
    return jsonify(number=number, query=request.args.to_dict(), host=request.host)


@app.post("/data")
def data():
    return jsonify(got=request.get_json()), 201


@app.post("/form")
def form():
    return jsonify(request.form.to_dict())


@app.post("/upload")
def upload():
    file = request.files["file"]
    content = file.read()
    return jsonify(
        name=file.filename, size=len(content), sha256=hashlib.sha256(content).hexdigest(), note=request.form["note"]
    )


@app.get("/stream")
def stream():
    def numbers():
        try:
            for number in range(10):
                yield f"{number}\n"
        finally:
            closed.append(request.path)

    return Response(stream_with_context(numbers()), mimetype="text/plain")


@app.get("/fail")
def fail():
    raise ValueError("a bug")


@app.get("/teapot")
def teapot():
    abort(418)


@app.get("/away")
def away():
    return redirect("/")


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.errorhandler(404)
def not_found(error):
    return jsonify(error="nothing here"), 404


def create_app():
    return app
