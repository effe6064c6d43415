# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: afa516a00d29b9ab
# body: ecdb59ceabf84221
defmodule Py.ASGI do
  @moduledoc ~S"""
  Requests to Python web applications (ASGI 3.0, HTTP).
  """

  @doc ~S"""
  Runs a request and gives its response.

  An exception that leaves the application before its response is complete is
  the error; later ones go to Python's logger `erlang.asgi`. `{:error, %Py.Error{reason: {:lifespan_failed, message}}}`: the application could not start.
  """
  @spec run(
          module :: :py.name(),
          callable :: :py.name(),
          scope :: :py_asgi.scope(),
          body :: iodata(),
          opts :: Py.Options.asgi()
        ) :: {:ok, :py_asgi.response()} | {:error, Py.Error.t()}
  def run(module, callable, scope, body, opts \\ []),
    do: :py_asgi.run(module, callable, scope, body, Py.Options.merge(opts, %{error: :map})) |> Py.Result.wrap()

  @doc "As `run/5`, but gives the value itself, or raises `Py.Error`."
  @spec run!(
          module :: :py.name(),
          callable :: :py.name(),
          scope :: :py_asgi.scope(),
          body :: iodata(),
          opts :: Py.Options.asgi()
        ) :: :py_asgi.response()
  def run!(module, callable, scope, body, opts \\ []), do: Py.Result.value!(run(module, callable, scope, body, opts))

  @doc ~S"""
  Starts a request; `await_response/1` gives its response, or it comes as a message `{:py_result, ref, response}`
  or `{:py_error, ref, reason}`. No deadline of its own.
  """
  @spec run_async(
          module :: :py.name(),
          callable :: :py.name(),
          scope :: :py_asgi.scope(),
          body :: iodata(),
          opts :: Py.Options.asgi()
        ) :: {:ok, reference()} | {:error, Py.Error.t()}
  def run_async(module, callable, scope, body, opts \\ []),
    do: :py_asgi.run_async(module, callable, scope, body, Py.Options.merge(opts, %{error: :map})) |> Py.Result.wrap()

  @doc "As `run_async/5`, but gives the value itself, or raises `Py.Error`."
  @spec run_async!(
          module :: :py.name(),
          callable :: :py.name(),
          scope :: :py_asgi.scope(),
          body :: iodata(),
          opts :: Py.Options.asgi()
        ) :: reference()
  def run_async!(module, callable, scope, body, opts \\ []),
    do: Py.Result.value!(run_async(module, callable, scope, body, opts))

  @doc ~S"""
  The response of `run_async/5`, after at most 30 s.
  """
  @spec await_response(ref :: reference()) :: {:ok, :py_asgi.response()} | {:error, Py.Error.t()}
  def await_response(ref), do: :py_asgi.await_response(ref) |> Py.Result.wrap()

  @doc "As `await_response/1`, but gives the value itself, or raises `Py.Error`."
  @spec await_response!(ref :: reference()) :: :py_asgi.response()
  def await_response!(ref), do: Py.Result.value!(await_response(ref))

  @doc ~S"""
  As `await_response/1`; after `timeout` ms the request is cancelled.
  """
  @spec await_response(ref :: reference(), timeout :: timeout()) :: {:ok, :py_asgi.response()} | {:error, Py.Error.t()}
  def await_response(ref, timeout), do: :py_asgi.await_response(ref, timeout) |> Py.Result.wrap()

  @doc "As `await_response/2`, but gives the value itself, or raises `Py.Error`."
  @spec await_response!(ref :: reference(), timeout :: timeout()) :: :py_asgi.response()
  def await_response!(ref, timeout), do: Py.Result.value!(await_response(ref, timeout))

  @doc ~S"""
  A complete scope from the fields that are given.
  """
  @spec build_scope(fields :: :py_asgi.scope()) :: :py_asgi.scope() | {:error, Py.Error.t()}
  def build_scope(fields), do: :py_asgi.build_scope(fields) |> Py.Result.wrap()

  @doc "As `build_scope/1`, but gives the value itself, or raises `Py.Error`."
  @spec build_scope!(fields :: :py_asgi.scope()) :: :py_asgi.scope()
  def build_scope!(fields), do: Py.Result.value!(build_scope(fields))

  @doc ~S"""
  As `build_scope/1`, with defaults of your own.
  """
  @spec build_scope(fields :: :py_asgi.scope(), defaults :: :py_asgi.scope()) ::
          :py_asgi.scope() | {:error, Py.Error.t()}
  def build_scope(fields, defaults), do: :py_asgi.build_scope(fields, defaults) |> Py.Result.wrap()

  @doc "As `build_scope/2`, but gives the value itself, or raises `Py.Error`."
  @spec build_scope!(fields :: :py_asgi.scope(), defaults :: :py_asgi.scope()) :: :py_asgi.scope()
  def build_scope!(fields, defaults), do: Py.Result.value!(build_scope(fields, defaults))

  @doc ~S"""
  Starts a request whose response comes as messages `{:py_asgi, ref, event}`: `{:start, status, headers}`, `{:body, bytes}` as often
  as needed, then `done`; or `{:error, reason}`, which may come at any point.

  With `:stream` in the place of the body, its pieces come from `feed/3`: the event `body_wanted` says that the
  application waits for the next one. With option `credit` the application waits when that many `body` events have not been answered
  with `credit/2`. `cancel/1`, `Py.cancel/1` and the death of the calling process cancel the request. No deadline but that of
  option `timeout`. Blocks the calling process until the request has its permit and is with the worker.
  """
  @spec run_stream(
          module :: :py.name(),
          callable :: :py.name(),
          scope :: :py_asgi.scope(),
          body :: iodata() | :stream,
          opts :: Py.Options.asgi()
        ) :: {:ok, reference()} | {:error, Py.Error.t()}
  def run_stream(module, callable, scope, body, opts \\ []),
    do: :py_asgi.run_stream(module, callable, scope, body, Py.Options.merge(opts, %{error: :map})) |> Py.Result.wrap()

  @doc "As `run_stream/5`, but gives the value itself, or raises `Py.Error`."
  @spec run_stream!(
          module :: :py.name(),
          callable :: :py.name(),
          scope :: :py_asgi.scope(),
          body :: iodata() | :stream,
          opts :: Py.Options.asgi()
        ) :: reference()
  def run_stream!(module, callable, scope, body, opts \\ []),
    do: Py.Result.value!(run_stream(module, callable, scope, body, opts))

  @doc ~S"""
  Hands a piece of the request body to the application of a stream; `last` with the last one. Does not wait: who has much to
  say waits for `body_wanted`.
  """
  @spec feed(ref :: reference(), piece :: iodata()) :: :ok
  def feed(ref, piece), do: :py_asgi.feed(ref, piece)

  @doc ~S"""
  Hands a piece of the request body to the application of a stream; `:last` with the last one. Does not wait: who has much to
  say waits for `body_wanted`.
  """
  @spec feed(ref :: reference(), piece :: iodata(), more :: :more | :last) :: :ok
  def feed(ref, piece, more), do: :py_asgi.feed(ref, piece, more)

  @doc ~S"""
  Allows `credit` more `body` events.
  """
  @spec credit(ref :: reference(), credit :: pos_integer()) :: :ok
  def credit(ref, credit), do: :py_asgi.credit(ref, credit)

  @doc ~S"""
  Cancels a stream or a request of this process; nothing of it arrives afterwards.
  """
  @spec cancel(ref :: reference()) :: :ok
  def cancel(ref), do: :py_asgi.cancel(ref)
end
