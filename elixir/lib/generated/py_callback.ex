# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: bab5871885365670
# body: 770c3638d862e757
defmodule Py.Callback do
  @moduledoc ~S"""
  Functions of this node that Python can call.
  """

  @doc ~S"""
  Lets Python call a function as `erlang.call(Name, ...)`, `erlang.NAME(...)` or after `from erlang import NAME`. It gets the
  list of the arguments and runs in a process of its own. A name that is taken gets the new function.
  """
  @spec register(name :: :py.name(), fun :: ([term()] -> term())) :: :ok | {:error, Py.Error.t()}
  def register(name, fun), do: :py.register_function(name, fun) |> Py.Result.wrap()

  @doc "As `register/2`, but gives the value itself, or raises `Py.Error`."
  @spec register!(name :: :py.name(), fun :: ([term()] -> term())) :: :ok
  def register!(name, fun), do: Py.Result.value!(register(name, fun))

  @doc ~S"""
  As `register/2`, for `Module:Function/1`.
  """
  @spec register(name :: :py.name(), module :: module(), function :: atom()) :: :ok | {:error, Py.Error.t()}
  def register(name, module, function), do: :py.register_function(name, module, function) |> Py.Result.wrap()

  @doc "As `register/3`, but gives the value itself, or raises `Py.Error`."
  @spec register!(name :: :py.name(), module :: module(), function :: atom()) :: :ok
  def register!(name, module, function), do: Py.Result.value!(register(name, module, function))

  @doc ~S"""
  Ends what `register/2` began.
  """
  @spec unregister(name :: :py.name()) :: :ok | {:error, Py.Error.t()}
  def unregister(name), do: :py.unregister_function(name) |> Py.Result.wrap()

  @doc "As `unregister/1`, but gives the value itself, or raises `Py.Error`."
  @spec unregister!(name :: :py.name()) :: :ok
  def unregister!(name), do: Py.Result.value!(unregister(name))

  @doc ~S"""
  What is registered under a name.
  """
  @spec lookup(name :: :py.name()) :: {:ok, :py_callback.target()} | {:error, Py.Error.t()}
  def lookup(name), do: :py_callback.lookup(name) |> Py.Result.wrap()

  @doc "As `lookup/1`, but gives the value itself, or raises `Py.Error`."
  @spec lookup!(name :: :py.name()) :: :py_callback.target()
  def lookup!(name), do: Py.Result.value!(lookup(name))
end
