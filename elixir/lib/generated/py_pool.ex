# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 69ca36df14d1e8ee
# body: c9ef297e19a9d9f0
defmodule Py.Pool do
  @moduledoc ~S"""
  Named pools of workers. A pool stands under a supervisor as `{Py.Pool, name: :models, num_workers: 2}`.
  """

  @doc ~S"""
  Starts a pool with options of its own and waits until its workers serve.
  """
  @spec start(name :: atom(), opts :: keyword() | map()) :: :ok | {:error, Py.Error.t()}
  def start(name, opts \\ []), do: :py_pool.start_pool(name, Py.Options.merge(opts, %{})) |> Py.Result.wrap()

  @doc "As `start/2`, but gives the value itself, or raises `Py.Error`."
  @spec start!(name :: atom(), opts :: keyword() | map()) :: :ok
  def start!(name, opts \\ []), do: Py.Result.value!(start(name, opts))

  @doc ~S"""
  Stops a pool; requests in it end with `{:worker_down, :stopped}`.
  """
  @spec stop(name :: atom()) :: :ok | {:error, Py.Error.t()}
  def stop(name), do: :py_pool.stop_pool(name) |> Py.Result.wrap()

  @doc "As `stop/1`, but gives the value itself, or raises `Py.Error`."
  @spec stop!(name :: atom()) :: :ok
  def stop!(name), do: Py.Result.value!(stop(name))

  @doc ~S"""
  Changes the number of workers. Grows until the new workers serve; workers that go finish their work first. Bound workers
  stay while they are bound and one more for the others; what is too many goes when bindings end.
  """
  @spec resize(name :: atom(), size :: pos_integer()) :: :ok | {:error, Py.Error.t()}
  def resize(name, size), do: :py_pool.resize(name, size) |> Py.Result.wrap()

  @doc "As `resize/2`, but gives the value itself, or raises `Py.Error`."
  @spec resize!(name :: atom(), size :: pos_integer()) :: :ok
  def resize!(name, size), do: Py.Result.value!(resize(name, size))

  @doc ~S"""
  Statistics of the pool `default`.
  """
  @spec stats() :: :py_pool.stats() | {:error, Py.Error.t()}
  def stats(), do: :py_pool.get_stats() |> Py.Result.wrap()

  @doc "As `stats/0`, but gives the value itself, or raises `Py.Error`."
  @spec stats!() :: :py_pool.stats()
  def stats!(), do: Py.Result.value!(stats())

  @doc ~S"""
  Statistics of a pool.
  """
  @spec stats(name :: atom()) :: :py_pool.stats() | {:error, Py.Error.t()}
  def stats(name), do: :py_pool.get_stats(name) |> Py.Result.wrap()

  @doc "As `stats/1`, but gives the value itself, or raises `Py.Error`."
  @spec stats!(name :: atom()) :: :py_pool.stats()
  def stats!(name), do: Py.Result.value!(stats(name))

  defdelegate child_spec(opts), to: Py.Pool.Server
  defdelegate start_link(opts), to: Py.Pool.Server
end
