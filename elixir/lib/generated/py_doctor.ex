# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: d43800fb37d84014
# body: 39aaa184ea851c75
defmodule Py.Doctor do
  @moduledoc ~S"""
  What this machine, this node and the configured Pythons are like, what is wrong, and how to mend it.
  """

  @doc ~S"""
  Prints what there is to know about the node, the pools of the configuration and those that run, and the machine. An error if
  anything is in the way of the application; what is only worth a thought is a warning in what is printed.
  """
  @spec check() :: :ok | {:error, Py.Error.t()}
  def check(), do: :py_doctor.check() |> Py.Result.wrap()

  @doc "As `check/0`, but gives the value itself, or raises `Py.Error`."
  @spec check!() :: :ok
  def check!(), do: Py.Result.value!(check())

  @doc ~S"""
  As `check/0`, for a pool with these options (those of `Py.Pool.start/2`) in the place of the configured ones.
  """
  @spec check_pool(opts :: keyword() | map()) :: :ok | {:error, Py.Error.t()}
  def check_pool(opts \\ []), do: :py_doctor.check(Py.Options.merge(opts, %{})) |> Py.Result.wrap()

  @doc "As `check_pool/1`, but gives the value itself, or raises `Py.Error`."
  @spec check_pool!(opts :: keyword() | map()) :: :ok
  def check_pool!(opts \\ []), do: Py.Result.value!(check_pool(opts))
end
