# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 941013456c54e7c5
# body: 6222fb3df4b9d09f
defmodule Py do
  @moduledoc ~S"""
  Python from Elixir.

      {:ok, 4.0} = Py.call(:math, :sqrt, [16])
      30 = Py.eval!("sum(x * x for x in range(n))", n: 5)

  Module and function are atoms or strings; dotted names work. Positional arguments are a list, keyword arguments a keyword list
  or a map. Python's `None` is `nil`. A result is `{:ok, value}` or `{:error, %Py.Error{}}`; the twin with `!` returns the value or
  raises the error. The default timeout is 30 seconds. Work whose time is over, or whose caller has died, is cancelled.
  """

  @doc ~S"""
  Calls a function on a worker of pool `default`, chosen by load.
  """
  @spec call(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: {:ok, term()} | {:error, Py.Error.t()}
  def call(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.call(
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )
      |> Py.Result.wrap()

  @doc "As `call/5`, but gives the value itself, or raises `Py.Error`."
  @spec call!(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: term()
  def call!(module, function, args, kwargs \\ [], opts \\ []),
    do: Py.Result.value!(call(module, function, args, kwargs, opts))

  @doc ~S"""
  Value of one expression. Its globals are those of `__main__`.

  With local names, which do not stay.
  """
  @spec eval(code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.call()) ::
          {:ok, term()} | {:error, Py.Error.t()}
  def eval(code, locals \\ [], opts \\ []),
    do:
      :py.eval(code, Py.Encoder.Terms.encode(locals), Py.Options.merge(opts, %{error: :map, none: nil}))
      |> Py.Result.wrap()

  @doc "As `eval/3`, but gives the value itself, or raises `Py.Error`."
  @spec eval!(code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.call()) :: term()
  def eval!(code, locals \\ [], opts \\ []), do: Py.Result.value!(eval(code, locals, opts))

  @doc ~S"""
  Runs statements in `__main__` of a worker. From then on the calling process keeps going to that
  worker, which others use as well, until `unbind/0` or the worker's end.

  With option `pool` the process is not tied to a worker.
  """
  @spec exec(code :: :py.code(), opts :: Py.Options.call()) :: :ok | {:error, Py.Error.t()}
  def exec(code, opts \\ []), do: :py.exec(code, Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `exec/2`, but gives the value itself, or raises `Py.Error`."
  @spec exec!(code :: :py.code(), opts :: Py.Options.call()) :: :ok
  def exec!(code, opts \\ []), do: Py.Result.value!(exec(code, opts))

  @doc ~S"""
  Starts a call whose outcome nobody wants; failures are logged. It outlives the calling process.

  With options other than a timeout.
  """
  @spec cast(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: :ok
  def cast(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.cast(
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )

  @doc ~S"""
  Starts a call; the answer is a message `{:py_response, ref, {:ok, value}}` or `{:py_error, ref, reason}`, or
  comes from `await/1`. No deadline of its own.

  With a timeout, after which the answer is `{:py_error, ref, :timeout}`, or options.
  """
  @spec async(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: reference()
  def async(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.spawn_call(
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
  def await(ref), do: :py.await(ref) |> Py.Result.wrap()

  @doc "As `await/1`, but gives the value itself, or raises `Py.Error`."
  @spec await!(ref :: reference()) :: term()
  def await!(ref), do: Py.Result.value!(await(ref))

  @doc ~S"""
  Waits for the answer of an asynchronous call; after `timeout` ms the work is cancelled.
  """
  @spec await(ref :: reference(), timeout :: timeout()) :: {:ok, term()} | {:error, Py.Error.t()}
  def await(ref, timeout), do: :py.await(ref, timeout) |> Py.Result.wrap()

  @doc "As `await/2`, but gives the value itself, or raises `Py.Error`."
  @spec await!(ref :: reference(), timeout :: timeout()) :: term()
  def await!(ref, timeout), do: Py.Result.value!(await(ref, timeout))

  @doc ~S"""
  Cancels an asynchronous call or a stream of this process; nothing of it arrives afterwards.
  """
  @spec cancel(ref :: reference()) :: :ok | {:error, Py.Error.t()}
  def cancel(ref), do: :py.cancel(ref) |> Py.Result.wrap()

  @doc "As `cancel/1`, but gives the value itself, or raises `Py.Error`."
  @spec cancel!(ref :: reference()) :: :ok
  def cancel!(ref), do: Py.Result.value!(cancel(ref))

  @doc ~S"""
  Raises `erlang.Interrupted` in an asynchronous call that runs, or in what runs on a context; in a coroutine it arrives as `asyncio.CancelledError`.
  A program may catch it and go on, otherwise the answer is `{:py_error, ref, :interrupted}`. `:not_running`: the call has not
  begun, or has ended.
  """
  @spec interrupt(ref :: reference() | :py.context()) :: :ok | :not_running | {:error, Py.Error.t()}
  def interrupt(ref), do: :py.interrupt(ref) |> Py.Result.wrap()

  @doc ~S"""
  Runs calls side by side on pool `parallel`. Results in the order of the calls, errors in their places.

  The timeout bounds the whole; calls without an answer by then are `{:error, %Py.Error{type: :timeout}}`.
  """
  @spec parallel(calls :: [:py.call()], opts :: Py.Options.call()) :: {:ok, [Py.Result.t()]} | {:error, Py.Error.t()}
  def parallel(calls, opts \\ []),
    do:
      :py.parallel(Py.Encoder.Terms.encode(calls), Py.Options.merge(opts, %{error: :map, none: nil}))
      |> Py.Result.nested()

  @doc "As `parallel/2`, but gives the value itself, or raises `Py.Error`."
  @spec parallel!(calls :: [:py.call()], opts :: Py.Options.call()) :: [Py.Result.t()]
  def parallel!(calls, opts \\ []), do: Py.Result.value!(parallel(calls, opts))

  @doc ~S"""
  Binds the calling process to a worker that nobody else uses, until `unbind/0` or the end of the process; `:ok` as well if it is bound.
  A pool in which no worker can be spared grows, up to `max_workers`; then `{:error, %Py.Error{type: :no_workers_available}}`.
  """
  @spec bind() :: :ok | {:error, Py.Error.t()}
  def bind(), do: :py.bind() |> Py.Result.wrap()

  @doc "As `bind/0`, but gives the value itself, or raises `Py.Error`."
  @spec bind!() :: :ok
  def bind!(), do: Py.Result.value!(bind())

  @doc ~S"""
  Ends what `bind/0` or `exec/2` began: the next work goes to any worker.
  """
  @spec unbind() :: :ok
  def unbind(), do: :py.unbind()

  @doc ~S"""
  Whether the calling process is bound by `bind/0` or `with_context/1`.
  """
  @spec bound?() :: boolean()
  def bound?(), do: :py.is_bound()

  @doc ~S"""
  Runs a function with a worker of its own: bound to it, or with the context as its argument. The binding ends with the
  function, and the one before holds again.
  """
  @spec with_context(fun :: (() -> result) | (:py.context() -> result)) :: result | {:error, :py.reason()}
        when result: var
  def with_context(fun), do: :py.with_context(fun)

  @doc ~S"""
  Runs statements on every worker of the pools `default`, `async` and `parallel`, and at every later start of one. A busy worker
  runs them when its work has ended, before requests that are submitted after this.
  Recorded only if it succeeded everywhere; the same text again moves to the end of the log.

  With a timeout or options; option `pool` means the workers of that pool instead.
  """
  @spec exec_all(code :: :py.code(), opts :: Py.Options.call()) :: :ok | {:error, Py.Error.t()}
  def exec_all(code, opts \\ []),
    do: :py.exec_all(code, Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `exec_all/2`, but gives the value itself, or raises `Py.Error`."
  @spec exec_all!(code :: :py.code(), opts :: Py.Options.call()) :: :ok
  def exec_all!(code, opts \\ []), do: Py.Result.value!(exec_all(code, opts))

  @doc ~S"""
  Reloads a module in every worker that has imported it.

  With a timeout or options; option `pool` means the workers of that pool instead.
  """
  @spec reload(module :: :py.name(), opts :: Py.Options.call()) :: :ok | {:error, Py.Error.t()}
  def reload(module, opts \\ []),
    do: :py.reload(module, Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `reload/2`, but gives the value itself, or raises `Py.Error`."
  @spec reload!(module :: :py.name(), opts :: Py.Options.call()) :: :ok
  def reload!(module, opts \\ []), do: Py.Result.value!(reload(module, opts))

  @doc ~S"""
  Sends what Python logs to `logger`, from its primary level on.

  With a level and a format. What is below the level stays in Python. See `py_logger`
  for the events.
  """
  @spec configure_logging(opts :: Py.Options.logging()) :: :ok | {:error, Py.Error.t()}
  def configure_logging(opts \\ []), do: :py.configure_logging(Py.Options.merge(opts, %{})) |> Py.Result.wrap()

  @doc "As `configure_logging/1`, but gives the value itself, or raises `Py.Error`."
  @spec configure_logging!(opts :: Py.Options.logging()) :: :ok
  def configure_logging!(opts \\ []), do: Py.Result.value!(configure_logging(opts))

  @doc ~S"""
  `sys.version` of pool `default`.
  """
  @spec version() :: {:ok, binary()} | {:error, Py.Error.t()}
  def version(), do: :py.version() |> Py.Result.wrap()

  @doc "As `version/0`, but gives the value itself, or raises `Py.Error`."
  @spec version!() :: binary()
  def version!(), do: Py.Result.value!(version())

  @doc ~S"""
  Every interpreter runs in a process of its own, whatever the Python version.
  """
  @spec execution_mode() :: :multi_process
  def execution_mode(), do: :py.execution_mode()

  @doc ~S"""
  Python version, and workers, executors and mode of each pool: `single`, or `multi_executor` for
  several threads under one GIL.
  """
  @spec execution_info() :: :py_info.execution()
  def execution_info(), do: :py.execution_info()

  @doc ~S"""
  Interpreters of pool `default` that can run at once.
  """
  @spec num_executors() :: non_neg_integer()
  def num_executors(), do: :py.num_executors()

  @doc ~S"""
  Whether the Python of pool `default` has sub-interpreters with a GIL of their own. For information only:
  workers are processes.
  """
  @spec subinterp_supported?() :: boolean()
  def subinterp_supported?(), do: :py.subinterp_supported()

  @doc ~S"""
  The workers of all pools.
  """
  @spec workers() :: [:py.worker()]
  def workers(), do: :py.workers()

  @doc ~S"""
  Statistics of each pool, of the semaphore and of the native library.
  """
  @spec stats() :: :py_info.stats()
  def stats(), do: :py.stats()

  @doc ~S"""
  Everything that is known of pools, workers, requests and threads, without waiting for any of them: to be printed with
  `~tp` when something hangs.
  """
  @spec diagnose() :: :py_diagnose.report()
  def diagnose(), do: :py.diagnose()

  @doc ~S"""
  What the Python threads of all workers are doing at this moment, also of workers that are stuck: files, lines, functions, and the
  requests that they run. `format_stacks/1` makes text of it.
  """
  @spec stacks() :: [:py_stacks.worker()]
  def stacks(), do: :py.stacks()

  @doc ~S"""
  As `stacks/0`, of one pool.
  """
  @spec stacks(pool :: atom()) :: [:py_stacks.worker()] | {:error, Py.Error.t()}
  def stacks(pool), do: :py.stacks(pool) |> Py.Result.wrap()

  @doc "As `stacks/1`, but gives the value itself, or raises `Py.Error`."
  @spec stacks!(pool :: atom()) :: [:py_stacks.worker()]
  def stacks!(pool), do: Py.Result.value!(stacks(pool))

  @doc ~S"""
  For people: to be printed with `:io.put_chars/1`.
  """
  @spec format_stacks(workers :: [:py_stacks.worker()]) :: :unicode.chardata()
  def format_stacks(workers), do: :py_stacks.format(workers)

  @doc ~S"""
  Shows pools, workers and the slowest requests in the terminal, again every second, until Enter is pressed. Without a terminal
  it prints them once.

  With options: `interval` has the milliseconds between two looks.
  """
  @spec top(opts :: Py.Options.top()) :: :ok | {:error, Py.Error.t()}
  def top(opts \\ []), do: :py.top(Py.Options.merge(opts, %{})) |> Py.Result.wrap()

  @doc "As `top/1`, but gives the value itself, or raises `Py.Error`."
  @spec top!(opts :: Py.Options.top()) :: :ok
  def top!(opts \\ []), do: Py.Result.value!(top(opts))

  defdelegate stream!(module, function, args, kwargs \\ [], opts \\ []), to: Py.Lazy
  defdelegate stream_eval!(code, locals \\ [], opts \\ []), to: Py.Lazy
end
