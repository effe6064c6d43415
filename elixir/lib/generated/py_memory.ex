# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: eb0c3154ad439edf
# body: da4ef78969ea0571
defmodule Py.Memory do
  @moduledoc ~S"""
  Memory of the interpreters.
  """

  @doc ~S"""
  What Python says about its memory in every worker of the pools `default`, `async` and `parallel`, and the sums.

  With a timeout or options; option `pool` asks one pool.
  """
  @spec stats(opts :: Py.Options.call()) :: {:ok, :py_admin.memory()} | {:error, Py.Error.t()}
  def stats(opts \\ []), do: :py.memory_stats(Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `stats/1`, but gives the value itself, or raises `Py.Error`."
  @spec stats!(opts :: Py.Options.call()) :: :py_admin.memory()
  def stats!(opts \\ []), do: Py.Result.value!(stats(opts))

  @doc ~S"""
  Collects garbage in every worker; the sum of the unreachable objects that were found.
  """
  @spec gc() :: {:ok, non_neg_integer()} | {:error, Py.Error.t()}
  def gc(), do: :py.gc() |> Py.Result.wrap()

  @doc "As `gc/0`, but gives the value itself, or raises `Py.Error`."
  @spec gc!() :: non_neg_integer()
  def gc!(), do: Py.Result.value!(gc())

  @doc ~S"""
  As `gc/0`, up to generation 0, 1 or 2.
  """
  @spec gc(generation :: 0..2) :: {:ok, non_neg_integer()} | {:error, Py.Error.t()}
  def gc(generation), do: :py.gc(generation) |> Py.Result.wrap()

  @doc "As `gc/1`, but gives the value itself, or raises `Py.Error`."
  @spec gc!(generation :: 0..2) :: non_neg_integer()
  def gc!(generation), do: Py.Result.value!(gc(generation))

  @doc ~S"""
  Has `tracemalloc` trace allocations in every worker, also those that start later; `stats/1` has the figures.
  """
  @spec tracemalloc_start() :: :ok | {:error, Py.Error.t()}
  def tracemalloc_start(), do: :py.tracemalloc_start() |> Py.Result.wrap()

  @doc "As `tracemalloc_start/0`, but gives the value itself, or raises `Py.Error`."
  @spec tracemalloc_start!() :: :ok
  def tracemalloc_start!(), do: Py.Result.value!(tracemalloc_start())

  @doc ~S"""
  As `tracemalloc_start/0`, with a number of frames that are kept of each traceback.
  """
  @spec tracemalloc_start(frames :: pos_integer()) :: :ok | {:error, Py.Error.t()}
  def tracemalloc_start(frames), do: :py.tracemalloc_start(frames) |> Py.Result.wrap()

  @doc "As `tracemalloc_start/1`, but gives the value itself, or raises `Py.Error`."
  @spec tracemalloc_start!(frames :: pos_integer()) :: :ok
  def tracemalloc_start!(frames), do: Py.Result.value!(tracemalloc_start(frames))

  @doc ~S"""
  Ends what `tracemalloc_start/0` began.
  """
  @spec tracemalloc_stop() :: :ok | {:error, Py.Error.t()}
  def tracemalloc_stop(), do: :py.tracemalloc_stop() |> Py.Result.wrap()

  @doc "As `tracemalloc_stop/0`, but gives the value itself, or raises `Py.Error`."
  @spec tracemalloc_stop!() :: :ok
  def tracemalloc_stop!(), do: Py.Result.value!(tracemalloc_stop())
end
