# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 580393873b339be3
# body: 36166a1d42e3f793
defmodule Py.State do
  @moduledoc ~S"""
  Values shared by the processes of the node and all workers.
  """

  @doc ~S"""
  The value of a key.
  """
  @spec fetch(key :: term()) :: {:ok, term()} | {:error, Py.Error.t()}
  def fetch(key), do: :py.state_fetch(key) |> Py.Result.wrap()

  @doc "As `fetch/1`, but gives the value itself, or raises `Py.Error`."
  @spec fetch!(key :: term()) :: term()
  def fetch!(key), do: Py.Result.value!(fetch(key))

  @doc ~S"""
  Sets the value of a key.
  """
  @spec store(key :: term(), value :: term()) :: :ok
  def store(key, value), do: :py.state_store(key, value)

  @doc ~S"""
  Forgets a key.
  """
  @spec remove(key :: term()) :: :ok
  def remove(key), do: :py.state_remove(key)

  @doc ~S"""
  All keys, in no order.
  """
  @spec keys() :: [term()]
  def keys(), do: :py.state_keys()

  @doc ~S"""
  Forgets all keys.
  """
  @spec clear() :: :ok
  def clear(), do: :py.state_clear()

  @doc ~S"""
  Adds 1 to a counter and returns its new value. Atomic.
  """
  @spec incr(key :: term()) :: integer() | {:error, Py.Error.t()}
  def incr(key), do: :py.state_incr(key) |> Py.Result.wrap()

  @doc "As `incr/1`, but gives the value itself, or raises `Py.Error`."
  @spec incr!(key :: term()) :: integer()
  def incr!(key), do: Py.Result.value!(incr(key))

  @doc ~S"""
  Adds to a counter and returns its new value. Atomic.
  """
  @spec incr(key :: term(), amount :: integer()) :: integer() | {:error, Py.Error.t()}
  def incr(key, amount), do: :py.state_incr(key, amount) |> Py.Result.wrap()

  @doc "As `incr/2`, but gives the value itself, or raises `Py.Error`."
  @spec incr!(key :: term(), amount :: integer()) :: integer()
  def incr!(key, amount), do: Py.Result.value!(incr(key, amount))

  @doc ~S"""
  Subtracts 1 from a counter and returns its new value. Atomic.
  """
  @spec decr(key :: term()) :: integer() | {:error, Py.Error.t()}
  def decr(key), do: :py.state_decr(key) |> Py.Result.wrap()

  @doc "As `decr/1`, but gives the value itself, or raises `Py.Error`."
  @spec decr!(key :: term()) :: integer()
  def decr!(key), do: Py.Result.value!(decr(key))

  @doc ~S"""
  Subtracts from a counter and returns its new value. Atomic.
  """
  @spec decr(key :: term(), amount :: integer()) :: integer() | {:error, Py.Error.t()}
  def decr(key, amount), do: :py.state_decr(key, amount) |> Py.Result.wrap()

  @doc "As `decr/2`, but gives the value itself, or raises `Py.Error`."
  @spec decr!(key :: term(), amount :: integer()) :: integer()
  def decr!(key, amount), do: Py.Result.value!(decr(key, amount))
end
