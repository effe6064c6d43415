defmodule Py.PoolTest do
  use ExUnit.Case

  test "a pool under a supervisor serves, is started again, and stops with it" do
    {:ok, supervisor} = Supervisor.start_link([{Py.Pool, name: :elixir_sup, num_workers: 1}], strategy: :one_for_one)
    assert Py.call!(:math, :sqrt, [16], [], pool: :elixir_sup) == 4.0
    [{{Py.Pool, :elixir_sup}, server, :worker, _}] = Supervisor.which_children(supervisor)
    [before] = for %{pool: :elixir_sup, os_pid: os_pid} <- Py.workers(), do: os_pid

    ref = Process.monitor(server)
    Process.exit(server, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}
    # The supervisor answers when the child is there again.
    assert %{active: 1} = Supervisor.count_children(supervisor)
    assert Py.call!(:math, :sqrt, [16], [], pool: :elixir_sup) == 4.0
    assert [later] = for(%{pool: :elixir_sup, os_pid: os_pid} <- Py.workers(), do: os_pid)
    assert later != before

    :ok = Supervisor.stop(supervisor)
    assert {:error, %Py.Error{}} = Py.call(:math, :sqrt, [16], [], pool: :elixir_sup)
    assert {:error, %Py.Error{type: :not_started}} = Py.Pool.stop(:elixir_sup)
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
