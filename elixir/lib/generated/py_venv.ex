# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 928e99ded38867df
# body: 5d068416f31f48c3
defmodule Py.Venv do
  @moduledoc ~S"""
  Virtual environments.
  """

  @doc ~S"""
  Enters a virtual environment in every worker of the pools `default`, `async` and `parallel`, also in those that start later:
  its entries come first in `sys.path`, its `.pth` files are honoured, `VIRTUAL_ENV`, `PATH` and `sys.prefix` are set. The one that
  was active is left. `{:error, %Py.Error{reason: {:invalid_venv, path}}}` also for an environment of another minor version of Python.
  """
  @spec activate(path :: :py_venv.path()) :: :ok | {:error, Py.Error.t()}
  def activate(path), do: :py.activate_venv(path) |> Py.Result.wrap()

  @doc "As `activate/1`, but gives the value itself, or raises `Py.Error`."
  @spec activate!(path :: :py_venv.path()) :: :ok
  def activate!(path), do: Py.Result.value!(activate(path))

  @doc ~S"""
  Takes back what `activate/1` did. Modules that were imported stay imported.
  """
  @spec deactivate() :: :ok | {:error, Py.Error.t()}
  def deactivate(), do: :py.deactivate_venv() |> Py.Result.wrap()

  @doc "As `deactivate/0`, but gives the value itself, or raises `Py.Error`."
  @spec deactivate!() :: :ok
  def deactivate!(), do: Py.Result.value!(deactivate())

  @doc ~S"""
  Which virtual environment is active.
  """
  @spec info() :: {:ok, :py_venv.info()} | {:error, Py.Error.t()}
  def info(), do: :py.venv_info() |> Py.Result.wrap()

  @doc "As `info/0`, but gives the value itself, or raises `Py.Error`."
  @spec info!() :: :py_venv.info()
  def info!(), do: Py.Result.value!(info())

  @doc ~S"""
  Makes a virtual environment with these packages, unless it is there, and activates it. Uses `uv` if it is on the PATH, else
  `venv` and `pip`. What fails is removed again and is `{:error, %Py.Error{reason: {:venv_failed, output}}}`. Of several at once one does the work.
  """
  @spec ensure(path :: :py_venv.path(), requirements :: :py_venv.requirements(), opts :: Py.Options.venv()) ::
          :ok | {:error, Py.Error.t()}
  def ensure(path, requirements, opts \\ []),
    do: :py.ensure_venv(path, requirements, Py.Options.merge(opts, %{})) |> Py.Result.wrap()

  @doc "As `ensure/3`, but gives the value itself, or raises `Py.Error`."
  @spec ensure!(path :: :py_venv.path(), requirements :: :py_venv.requirements(), opts :: Py.Options.venv()) :: :ok
  def ensure!(path, requirements, opts \\ []), do: Py.Result.value!(ensure(path, requirements, opts))
end
