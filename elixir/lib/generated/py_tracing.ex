# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 6ff06fdf514a6ff1
# body: 15ad3010e0a23de3
defmodule Py.Tracing do
  @moduledoc ~S"""
  How long what takes in Python: the spans of `erlang.Span` and `erlang.trace`.
  """

  @doc ~S"""
  Keeps the spans (`erlang.Span`, `erlang.trace`) that end in Python from here on.
  """
  @spec enable() :: :ok | {:error, Py.Error.t()}
  def enable(), do: :py.enable_tracing() |> Py.Result.wrap()

  @doc "As `enable/0`, but gives the value itself, or raises `Py.Error`."
  @spec enable!() :: :ok
  def enable!(), do: Py.Result.value!(enable())

  @doc ~S"""
  Ends what `enable/0` began; spans that were kept stay.
  """
  @spec disable() :: :ok | {:error, Py.Error.t()}
  def disable(), do: :py.disable_tracing() |> Py.Result.wrap()

  @doc "As `disable/0`, but gives the value itself, or raises `Py.Error`."
  @spec disable!() :: :ok
  def disable!(), do: Py.Result.value!(disable())

  @doc ~S"""
  The spans that are kept, in the order of their ends, at most 10000. Those of a call are here when it has been answered.
  """
  @spec spans() :: {:ok, [:py_tracer.span()]} | {:error, Py.Error.t()}
  def spans(), do: :py.get_traces() |> Py.Result.wrap()

  @doc "As `spans/0`, but gives the value itself, or raises `Py.Error`."
  @spec spans!() :: [:py_tracer.span()]
  def spans!(), do: Py.Result.value!(spans())

  @doc ~S"""
  Forgets the spans that are kept.
  """
  @spec clear() :: :ok | {:error, Py.Error.t()}
  def clear(), do: :py.clear_traces() |> Py.Result.wrap()

  @doc "As `clear/0`, but gives the value itself, or raises `Py.Error`."
  @spec clear!() :: :ok
  def clear!(), do: Py.Result.value!(clear())
end
