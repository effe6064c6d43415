# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: d730771a31300a67
# body: 0966b6ed1fc19b85
defmodule Py.Async do
  @moduledoc ~S"""
  Work of an event loop: coroutines run side by side in one worker.
  """

  @doc ~S"""
  Starts a call on an event loop; the answer is a message `{:py_result, ref, value}` or `{:py_error, ref, reason}`, or
  comes from `await/1`. Coroutine functions and functions of module asyncio run on the loop, other functions
  in a thread beside it. The loop is that of pool `async`, or of the worker that the calling process is tied to. No deadline of its own.

  With a timeout, after which the answer is `{:py_error, ref, :timeout}`, or options.
  """
  @spec call(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: reference()
  def call(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.async_call(
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )

  @doc ~S"""
  Waits for the answer of an asynchronous call, at most 30 s.
  """
  @spec await(ref :: reference()) :: {:ok, term()} | {:error, Py.Error.t()}
  def await(ref), do: :py.async_await(ref) |> Py.Result.wrap()

  @doc "As `await/1`, but gives the value itself, or raises `Py.Error`."
  @spec await!(ref :: reference()) :: term()
  def await!(ref), do: Py.Result.value!(await(ref))

  @doc ~S"""
  Waits for the answer of an asynchronous call; after `timeout` ms the work is cancelled.
  """
  @spec await(ref :: reference(), timeout :: timeout()) :: {:ok, term()} | {:error, Py.Error.t()}
  def await(ref, timeout), do: :py.async_await(ref, timeout) |> Py.Result.wrap()

  @doc "As `await/2`, but gives the value itself, or raises `Py.Error`."
  @spec await!(ref :: reference(), timeout :: timeout()) :: term()
  def await!(ref, timeout), do: Py.Result.value!(await(ref, timeout))

  @doc ~S"""
  Runs calls side by side on the event loop of one worker and returns their values in order. The first failure is
  that of the whole, and cancels the rest.

  With a timeout for the whole or options. With `return_exceptions: true` nothing is cancelled,
  and each place has `{:ok, value}` or `{:error, reason}`.
  """
  @spec gather(
          calls :: [:py.call()],
          opts :: [
            {:binary, :auto | :bytes}
            | {:error, :tuple | :map}
            | {:ndarray, :list | :binary}
            | {:none, :none | nil | :undefined}
            | {:pool, atom()}
            | {:return, :term | :ref}
            | {:return_exceptions, boolean()}
            | {:tags, boolean()}
            | {:timeout, timeout()}
            | {:unknown, :str | :ref | :error}
          ]
        ) :: {:ok, [term()]} | {:error, Py.Error.t()}
  def gather(calls, opts \\ []),
    do:
      :py.async_gather(Py.Encoder.Terms.encode(calls), Py.Options.merge(opts, %{error: :map, none: nil}))
      |> Py.Result.gathered(opts)

  @doc "As `gather/2`, but gives the value itself, or raises `Py.Error`."
  @spec gather!(
          calls :: [:py.call()],
          opts :: [
            {:binary, :auto | :bytes}
            | {:error, :tuple | :map}
            | {:ndarray, :list | :binary}
            | {:none, :none | nil | :undefined}
            | {:pool, atom()}
            | {:return, :term | :ref}
            | {:return_exceptions, boolean()}
            | {:tags, boolean()}
            | {:timeout, timeout()}
            | {:unknown, :str | :ref | :error}
          ]
        ) :: [term()]
  def gather!(calls, opts \\ []), do: Py.Result.value!(gather(calls, opts))

  @doc ~S"""
  All items of an asynchronous generator, collected on the event loop.

  With a timeout for the whole, or options.
  """
  @spec stream(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: {:ok, [term()]} | {:error, Py.Error.t()}
  def stream(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.async_stream(
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )
      |> Py.Result.wrap()

  @doc "As `stream/5`, but gives the value itself, or raises `Py.Error`."
  @spec stream!(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: [term()]
  def stream!(module, function, args, kwargs \\ [], opts \\ []),
    do: Py.Result.value!(stream(module, function, args, kwargs, opts))
end
