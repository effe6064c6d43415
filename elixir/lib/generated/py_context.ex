# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: e8440c18ab5ebb3c
# body: 3f0ce50bca6aca67
defmodule Py.Context do
  @moduledoc ~S"""
  A worker of one's own, as a term that any process of the node may use.
  """

  @doc ~S"""
  A worker as a term, for `call/6` and its like, until `close/1` or the end of the calling process. Options: `pool`,
  and `fresh: true` for a worker process that is started for this.
  """
  @spec new(opts :: Py.Options.context()) :: {:ok, :py.context()} | {:error, Py.Error.t()}
  def new(opts \\ []), do: :py.bind(Py.Options.merge(opts, %{})) |> Py.Result.wrap()

  @doc "As `new/1`, but gives the value itself, or raises `Py.Error`."
  @spec new!(opts :: Py.Options.context()) :: :py.context()
  def new!(opts \\ []), do: Py.Result.value!(new(opts))

  @doc ~S"""
  Ends a context.
  """
  @spec close(context :: :py.context()) :: :ok | {:error, Py.Error.t()}
  def close(context), do: :py.unbind(context) |> Py.Result.wrap()

  @doc "As `close/1`, but gives the value itself, or raises `Py.Error`."
  @spec close!(context :: :py.context()) :: :ok
  def close!(context), do: Py.Result.value!(close(context))

  @doc ~S"""
  As `Py.call/5`, on a context. All functions on contexts raise `context_not_bound` after the end of the context.
  """
  @spec call(
          context :: :py.context(),
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: {:ok, term()} | {:error, Py.Error.t()}
  def call(context, module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.ctx_call(
        context,
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )
      |> Py.Result.wrap()

  @doc "As `call/6`, but gives the value itself, or raises `Py.Error`."
  @spec call!(
          context :: :py.context(),
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: term()
  def call!(context, module, function, args, kwargs \\ [], opts \\ []),
    do: Py.Result.value!(call(context, module, function, args, kwargs, opts))

  @doc ~S"""
  As `Py.eval/3`, on a context.
  """
  @spec eval(context :: :py.context(), code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.call()) ::
          {:ok, term()} | {:error, Py.Error.t()}
  def eval(context, code, locals \\ [], opts \\ []),
    do:
      :py.ctx_eval(context, code, Py.Encoder.Terms.encode(locals), Py.Options.merge(opts, %{error: :map, none: nil}))
      |> Py.Result.wrap()

  @doc "As `eval/4`, but gives the value itself, or raises `Py.Error`."
  @spec eval!(context :: :py.context(), code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.call()) :: term()
  def eval!(context, code, locals \\ [], opts \\ []), do: Py.Result.value!(eval(context, code, locals, opts))

  @doc ~S"""
  Runs statements in `__main__` of a context.
  """
  @spec exec(context :: :py.context(), code :: :py.code(), opts :: Py.Options.call()) :: :ok | {:error, Py.Error.t()}
  def exec(context, code, opts \\ []),
    do: :py.ctx_exec(context, code, Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `exec/3`, but gives the value itself, or raises `Py.Error`."
  @spec exec!(context :: :py.context(), code :: :py.code(), opts :: Py.Options.call()) :: :ok
  def exec!(context, code, opts \\ []), do: Py.Result.value!(exec(context, code, opts))

  @doc ~S"""
  As `Py.Async.call/5`, on the event loop of a context.
  """
  @spec async_call(
          context :: :py.context(),
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs()
        ) :: reference()
  def async_call(context, module, function, args, kwargs \\ []),
    do: :py.ctx_async_call(context, module, function, Py.Encoder.Terms.encode(args), Py.Encoder.Terms.encode(kwargs))
end
