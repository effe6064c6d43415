# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: af942f7480a1e5ab
# body: f38ab360de5b7ed7
defmodule Py.Top do
  @moduledoc ~S"""
  A live view of pools, workers and the slowest requests; `Py.top/1` shows it in the shell.
  """

  @doc ~S"""
  What goes on at this moment, with the service times of all requests so far.
  """
  @spec snapshot() :: :py_top.snapshot()
  def snapshot(), do: :py_top.snapshot()

  @doc ~S"""
  As `snapshot/0`, with requests per second, processor time, and service times since an earlier one.
  """
  @spec snapshot(earlier :: :py_top.snapshot()) :: :py_top.snapshot()
  def snapshot(earlier), do: :py_top.snapshot(earlier)

  @doc ~S"""
  Text for a file or a log, 120 characters wide.
  """
  @spec format(snapshot :: :py_top.snapshot()) :: :unicode.unicode_binary()
  def format(snapshot), do: :py_top.format(snapshot)

  @doc ~S"""
  As `format/1`, so many characters wide: columns that matter less give way.
  """
  @spec format(snapshot :: :py_top.snapshot(), width :: pos_integer()) :: :unicode.unicode_binary()
  def format(snapshot, width), do: :py_top.format(snapshot, width)
end
