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

    with {:error, %Py.Error{type: :already_started}} <- Py.Pool.start(name, opts),
         :ok <- await_end(watcher, :if_left_over),
         {:error, error} <- Py.Pool.start(name, opts) do
      {:stop, error}
    else
      :ok -> {:ok, start_watcher(watcher, name)}
      {:error, error} -> {:stop, error}
    end
  end

  @impl true
  def terminate(_reason, watcher) do
    await_end(watcher, :now)
  end

  defp start_watcher(watcher, name) do
    server = self()
    pid = spawn(fn -> watch(watcher, server, name) end)

    receive do
      {^pid, :watches} -> pid
    end
  end

  # Stops the pool, once, also when its server is killed.
  defp watch(watcher, server, name) do
    ref = Process.monitor(server)
    Process.register(self(), watcher)
    send(server, {self(), :watches})
    await_server(server, ref)
    Py.Pool.stop(name)
  end

  defp await_server(server, ref) do
    receive do
      {^server, :now} ->
        :ok

      {:DOWN, ^ref, _, _, _} ->
        :ok

      {other, :if_left_over} ->
        if Process.alive?(server) do
          send(other, {self(), :is_used})
          await_server(server, ref)
        end
    end
  end

  # Waits until the watcher has stopped its pool. That of a predecessor that was killed may still be at it; that of a server which lives
  # stays, and so does its pool.
  defp await_end(watcher, how) do
    pid = if is_pid(watcher), do: watcher, else: Process.whereis(watcher)

    if pid do
      ref = Process.monitor(pid)
      send(pid, {self(), how})

      receive do
        {:DOWN, ^ref, _, _, _} ->
          :ok

        {^pid, :is_used} ->
          Process.demonitor(ref, [:flush])
          {:error, Py.Error.new(:already_started)}
      end
    else
      :ok
    end
  end
end
