defmodule Py.Pool.Server do
  @moduledoc """
  A pool under a supervisor: `{Py.Pool, name: :models, num_workers: 2}`. The start waits until its workers serve; the pool stops with
  the process, however that ends. All options but `name:` are those of `Py.Pool.start/2`.
  """
  use GenServer, shutdown: :infinity

  @doc "A child specification, whose id is `{Py.Pool, name}`."
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(opts) do
    opts |> super() |> Map.put(:id, {Py.Pool, Keyword.fetch!(opts, :name)})
  end

  @doc "Starts a pool that stops with the process."
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts) do
    {name, opts} = Keyword.pop!(opts, :name)
    GenServer.start_link(__MODULE__, {name, opts})
  end

  @impl true
  def init({name, opts}) do
    Process.flag(:trap_exit, true)
    watcher = Module.concat(__MODULE__, name)
    # That of a predecessor that was killed may not have stopped the pool yet.
    await_end(watcher)

    case Py.Pool.start(name, opts) do
      :ok ->
        server = self()
        pid = spawn(fn -> watch(watcher, server, name) end)

        receive do
          {^pid, :watches} -> {:ok, pid}
        end

      {:error, error} ->
        {:stop, error}
    end
  end

  @impl true
  def terminate(_reason, watcher) do
    send(watcher, {self(), :ends})
    await_end(watcher)
  end

  # Stops the pool, once, also when its server is killed.
  defp watch(watcher, server, name) do
    ref = Process.monitor(server)
    Process.register(self(), watcher)
    send(server, {self(), :watches})

    receive do
      {^server, :ends} -> :ok
      {:DOWN, ^ref, _, _, _} -> :ok
    end

    Py.Pool.stop(name)
  end

  defp await_end(process) do
    ref = Process.monitor(process)

    receive do
      {:DOWN, ^ref, _, _, _} -> :ok
    end
  end
end
