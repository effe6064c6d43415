defmodule Py.PoolTest do
  use ExUnit.Case
  import Eventually

  test "a pool under a supervisor serves, is started again, and stops with it" do
    {:ok, supervisor} = Supervisor.start_link([{Py.Pool, name: :elixir_sup, num_workers: 1}], strategy: :one_for_one)
    assert Py.call!(:math, :sqrt, [16], [], pool: :elixir_sup) == 4.0
    [{{Py.Pool, :elixir_sup}, server, :worker, _}] = Supervisor.which_children(supervisor)
    [before] = for %{pool: :elixir_sup, os_pid: os_pid} <- Py.workers(), do: os_pid

    Process.exit(server, :kill)

    eventually(fn ->
      match?([{_, pid, _, _}] when is_pid(pid) and pid != server, Supervisor.which_children(supervisor))
    end)

    assert Py.call!(:math, :sqrt, [16], [], pool: :elixir_sup) == 4.0
    assert [later] = for(%{pool: :elixir_sup, os_pid: os_pid} <- Py.workers(), do: os_pid)
    assert later != before

    :ok = Supervisor.stop(supervisor)
    assert {:error, %Py.Error{}} = Py.call(:math, :sqrt, [16], [], pool: :elixir_sup)
    assert {:error, %Py.Error{type: :not_started}} = Py.Pool.stop(:elixir_sup)
  end

  test "of two servers of one pool the second is refused, and the first goes on" do
    Process.flag(:trap_exit, true)
    {:ok, first} = Py.Pool.start_link(name: :elixir_twice, num_workers: 1)
    assert {:error, %Py.Error{type: :already_started}} = Py.Pool.start_link(name: :elixir_twice, num_workers: 1)
    assert Py.call!(:math, :sqrt, [16], [], pool: :elixir_twice) == 4.0
    :ok = GenServer.stop(first)
    assert {:error, %Py.Error{type: :not_started}} = Py.Pool.stop(:elixir_twice)

    :ok = Py.Pool.start(:elixir_twice, num_workers: 1)
    assert {:error, %Py.Error{type: :already_started}} = Py.Pool.start_link(name: :elixir_twice, num_workers: 1)
    assert Py.Pool.stop(:elixir_twice) == :ok
  end

  test "a pool whose server is killed again and again is there each time" do
    {:ok, supervisor} =
      Supervisor.start_link([{Py.Pool, name: :elixir_killed, num_workers: 1}], strategy: :one_for_one, max_restarts: 100)

    for _ <- 1..10 do
      [{_, server, _, _}] = Supervisor.which_children(supervisor)
      Process.exit(server, :kill)

      eventually(fn ->
        match?([{_, pid, _, _}] when is_pid(pid) and pid != server, Supervisor.which_children(supervisor))
      end)

      assert Py.call!(:math, :sqrt, [16], [], pool: :elixir_killed) == 4.0
    end

    :ok = Supervisor.stop(supervisor)
  end

  test "two pools have ids of their own" do
    assert %{id: {Py.Pool, :a}, shutdown: :infinity} = Py.Pool.child_spec(name: :a)
    assert %{id: {Py.Pool, :b}} = Py.Pool.child_spec(name: :b)
  end

  test "a pool that does not start stops its supervisor with the reason" do
    Process.flag(:trap_exit, true)
    assert {:error, %Py.Error{}} = Py.Pool.start_link(name: :elixir_bad, python: "/nowhere")
    assert {:error, %Py.Error{} = error} = Py.Pool.start(:elixir_bad, num_wrokers: 1)
    assert Exception.message(error) =~ "num_wrokers"
  end

  test "by hand" do
    assert Py.Pool.start(:elixir_hand, num_workers: 1) == :ok
    assert {:error, %Py.Error{type: :already_started}} = Py.Pool.start(:elixir_hand)
    assert %{num_workers: 1} = Py.Pool.stats!(:elixir_hand)
    assert Py.Pool.resize(:elixir_hand, 2) == :ok
    assert %{num_workers: 2} = Py.Pool.stats!(:elixir_hand)
    assert Py.Pool.stop(:elixir_hand) == :ok
  end
end
