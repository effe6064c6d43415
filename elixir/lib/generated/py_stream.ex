# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 6e775958f83e6e06
# body: 5a12177ac41a9044
defmodule Py.Stream do
  @moduledoc ~S"""
  Items of iterators and generators, as a list, or one by one by hand. `Py.stream!/5` gives them as a lazy `Enumerable`.
  """

  @doc ~S"""
  Calls a function and collects the items of the iterator that comes of it. Any other value is the only item; an
  iterator among the items is no iterator of the stream's, and crosses like any object without a term.

  With a timeout for the whole, or options.
  """
  @spec to_list(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: {:ok, [term()]} | {:error, Py.Error.t()}
  def to_list(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.stream(
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )
      |> Py.Result.wrap()

  @doc "As `to_list/5`, but gives the value itself, or raises `Py.Error`."
  @spec to_list!(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: [term()]
  def to_list!(module, function, args, kwargs \\ [], opts \\ []),
    do: Py.Result.value!(to_list(module, function, args, kwargs, opts))

  @doc ~S"""
  As `to_list/5`, for the value of an expression.

  With a timeout for the whole, or options.
  """
  @spec eval_to_list(code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.call()) ::
          {:ok, [term()]} | {:error, Py.Error.t()}
  def eval_to_list(code, locals \\ [], opts \\ []),
    do:
      :py.stream_eval(code, Py.Encoder.Terms.encode(locals), Py.Options.merge(opts, %{error: :map, none: nil}))
      |> Py.Result.wrap()

  @doc "As `eval_to_list/3`, but gives the value itself, or raises `Py.Error`."
  @spec eval_to_list!(code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.call()) :: [term()]
  def eval_to_list!(code, locals \\ [], opts \\ []), do: Py.Result.value!(eval_to_list(code, locals, opts))

  @doc ~S"""
  Starts a stream, whose items come to the calling process one by one: through `next/1`, or as messages
  `{:py_chunk, ref, item}`, and at the end `{:py_end, ref}` or `{:py_error, ref, reason}`. At most 16 items are ahead of the
  consumer. The generator stops, and its `finally` runs, after `cancel/1` and when the consumer dies.

  With options, among them `credit`, the number of items that may be ahead of the consumer: a
  positive integer or `infinity`. Without a timeout there is no deadline; with one, the last message is
  `{:py_error, ref, :timeout}` after that time.
  """
  @spec start(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.stream()
        ) :: {:ok, reference()} | {:error, Py.Error.t()}
  def start(module, function, args, kwargs \\ [], opts \\ []),
    do:
      :py.stream_start(
        module,
        function,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )
      |> Py.Result.wrap()

  @doc "As `start/5`, but gives the value itself, or raises `Py.Error`."
  @spec start!(
          module :: :py.name(),
          function :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.stream()
        ) :: reference()
  def start!(module, function, args, kwargs \\ [], opts \\ []),
    do: Py.Result.value!(start(module, function, args, kwargs, opts))

  @doc ~S"""
  As `start/5`, for the value of an expression with local names.

  With options as those of `start/5`.
  """
  @spec eval_start(code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.stream()) ::
          {:ok, reference()} | {:error, Py.Error.t()}
  def eval_start(code, locals \\ [], opts \\ []),
    do:
      :py.stream_eval_start(code, Py.Encoder.Terms.encode(locals), Py.Options.merge(opts, %{error: :map, none: nil}))
      |> Py.Result.wrap()

  @doc "As `eval_start/3`, but gives the value itself, or raises `Py.Error`."
  @spec eval_start!(code :: :py.code(), locals :: :py.kwargs(), opts :: Py.Options.stream()) :: reference()
  def eval_start!(code, locals \\ [], opts \\ []), do: Py.Result.value!(eval_start(code, locals, opts))

  @doc ~S"""
  The next item of a stream that this process has started; waits for it. `:done` after the last.
  """
  @spec next(ref :: reference()) :: {:ok, term()} | :done | {:error, Py.Error.t()}
  def next(ref), do: :py.stream_next(ref) |> Py.Result.wrap()

  @doc ~S"""
  Lets a stream send so many items more. For those who receive its messages themselves; `next/1` sees to it.
  """
  @spec credit(ref :: reference(), items :: pos_integer() | :infinity) :: :ok | {:error, Py.Error.t()}
  def credit(ref, items), do: :py.stream_credit(ref, items) |> Py.Result.wrap()

  @doc "As `credit/2`, but gives the value itself, or raises `Py.Error`."
  @spec credit!(ref :: reference(), items :: pos_integer() | :infinity) :: :ok
  def credit!(ref, items), do: Py.Result.value!(credit(ref, items))

  @doc ~S"""
  Ends a stream; nothing of it arrives afterwards.
  """
  @spec cancel(ref :: reference()) :: :ok | {:error, Py.Error.t()}
  def cancel(ref), do: :py.stream_cancel(ref) |> Py.Result.wrap()

  @doc "As `cancel/1`, but gives the value itself, or raises `Py.Error`."
  @spec cancel!(ref :: reference()) :: :ok
  def cancel!(ref), do: Py.Result.value!(cancel(ref))
end
