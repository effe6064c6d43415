# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 8ea19b6b612bc932
# body: a252b91551954de9
defmodule Py.Events do
  @moduledoc ~S"""
  Events about calls that fail, are late or slow, about workers and pools, in the shape of `:telemetry`:

      :ok = Py.Events.attach(:bridge, Py.Events.names(), fn event, measurements, metadata, _ ->
        :telemetry.execute(event, measurements, metadata)
      end, nil)
  """

  @doc ~S"""
  Attaches a handler to events. `id` is any term; one that is taken is refused.
  """
  @spec attach(
          id :: :py_events.id(),
          names :: [:py_events.name(), ...],
          handler :: :py_events.handler(),
          config :: :py_events.config()
        ) :: :ok | {:error, Py.Error.t()}
  def attach(id, names, handler, config), do: :py_events.attach(id, names, handler, config) |> Py.Result.wrap()

  @doc "As `attach/4`, but gives the value itself, or raises `Py.Error`."
  @spec attach!(
          id :: :py_events.id(),
          names :: [:py_events.name(), ...],
          handler :: :py_events.handler(),
          config :: :py_events.config()
        ) :: :ok
  def attach!(id, names, handler, config), do: Py.Result.value!(attach(id, names, handler, config))

  @doc ~S"""
  Detaches a handler. Who calls handlers at this moment may still call it.
  """
  @spec detach(id :: :py_events.id()) :: :ok | {:error, Py.Error.t()}
  def detach(id), do: :py_events.detach(id) |> Py.Result.wrap()

  @doc "As `detach/1`, but gives the value itself, or raises `Py.Error`."
  @spec detach!(id :: :py_events.id()) :: :ok
  def detach!(id), do: Py.Result.value!(detach(id))

  @doc ~S"""
  The handlers that are attached.
  """
  @spec list() :: [:py_events.attached()]
  def list(), do: :py_events.list()

  @doc ~S"""
  All events that there are.
  """
  @spec names() :: [:py_events.name(), ...]
  def names(), do: :py_events.names()
end
