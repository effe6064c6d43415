# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: d5124d3ab2c59562
# body: 60b193e6890dedb3
defmodule Py.Semaphore do
  @moduledoc ~S"""
  The bound on concurrent requests of the node.
  """

  @doc ~S"""
  Takes a permit for the calling process; waits for at most `timeout` ms.
  """
  @spec acquire(timeout :: timeout()) :: :ok | {:error, Py.Error.t()}
  def acquire(timeout), do: :py_semaphore.acquire(timeout) |> Py.Result.wrap()

  @doc "As `acquire/1`, but gives the value itself, or raises `Py.Error`."
  @spec acquire!(timeout :: timeout()) :: :ok
  def acquire!(timeout), do: Py.Result.value!(acquire(timeout))

  @doc ~S"""
  Gives back a permit that the calling process took.
  """
  @spec release() :: :ok
  def release(), do: :py_semaphore.release()

  @doc ~S"""
  Permits in use.
  """
  @spec current() :: non_neg_integer()
  def current(), do: :py_semaphore.current()

  @doc ~S"""
  The bound.
  """
  @spec max_concurrent() :: pos_integer()
  def max_concurrent(), do: :py_semaphore.max_concurrent()

  @doc ~S"""
  Changes the bound; requests in flight keep their permits.
  """
  @spec set_max_concurrent(max :: pos_integer()) :: :ok | {:error, Py.Error.t()}
  def set_max_concurrent(max), do: :py_semaphore.set_max_concurrent(max) |> Py.Result.wrap()

  @doc "As `set_max_concurrent/1`, but gives the value itself, or raises `Py.Error`."
  @spec set_max_concurrent!(max :: pos_integer()) :: :ok
  def set_max_concurrent!(max), do: Py.Result.value!(set_max_concurrent(max))
end
