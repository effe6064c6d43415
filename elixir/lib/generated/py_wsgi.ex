# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: b7d37b375f4d46c7
# body: 88b00544edc6c907
defmodule Py.WSGI do
  @moduledoc ~S"""
  Requests to Python web applications (WSGI, PEP 3333).
  """

  @doc ~S"""
  Runs a request and gives its response.

  An exception that leaves the application is the error.
  """
  @spec run(module :: :py.name(), callable :: :py.name(), environ :: :py_wsgi.environ(), opts :: Py.Options.wsgi()) ::
          {:ok, :py_wsgi.response()} | {:error, Py.Error.t()}
  def run(module, callable, environ, opts \\ []),
    do: :py_wsgi.run(module, callable, environ, Py.Options.merge(opts, %{error: :map})) |> Py.Result.wrap()

  @doc "As `run/4`, but gives the value itself, or raises `Py.Error`."
  @spec run!(module :: :py.name(), callable :: :py.name(), environ :: :py_wsgi.environ(), opts :: Py.Options.wsgi()) ::
          :py_wsgi.response()
  def run!(module, callable, environ, opts \\ []), do: Py.Result.value!(run(module, callable, environ, opts))
end
