defmodule Py.LazyTest do
  use ExUnit.Case
  import Eventually

  @generator """
  import sys, types
  m = types.ModuleType('elixir_streams')
  def count(key):
      try:
          n = 0
          while True:
              erlang.state_set((key, 'at'), n)
              yield n
              n += 1
      finally:
          erlang.state_set((key, 'closed'), True)
  m.count, count.__globals__['erlang'] = count, erlang
  sys.modules['elixir_streams'] = m
  """

  setup_all do
    Py.exec_all!(@generator)
    on_exit(fn -> Py.State.clear() end)
  end

  test "items arrive in order, and the end is the end" do
    assert Py.stream!(:builtins, :iter, [Enum.to_list(0..99)]) |> Enum.to_list() == Enum.to_list(0..99)
    assert Py.stream_eval!("(x * n for x in range(3))", n: 2) |> Enum.map(&(&1 + 1)) == [1, 3, 5]
    assert Py.Stream.to_list!(:itertools, :repeat, [7, 3]) == [7, 7, 7]
    assert Py.Stream.eval_to_list!("iter(range(2))") == [0, 1]
  end

  test "nothing runs before somebody consumes, and each consumption is a run" do
    stream = Py.stream!(:elixir_streams, :count, ["lazy"])
    assert {:error, _} = Py.State.fetch({"lazy", "at"})
    assert Enum.take(stream, 2) == [0, 1]
    assert Enum.take(stream, 2) == [0, 1]
  end

  test "the generator is closed when the consumer halts" do
    assert Py.stream!(:elixir_streams, :count, ["halt"]) |> Enum.take(3) == [0, 1, 2]
    eventually(fn -> Py.State.fetch({"halt", "closed"}) == {:ok, true} end)
    refute_received {:py_chunk, _, _}
  end

  test "the generator is closed when the consumer raises" do
    assert_raise RuntimeError, fn ->
      Py.stream!(:elixir_streams, :count, ["raise"]) |> Enum.each(fn n -> n == 5 && raise "enough" end)
    end

    eventually(fn -> Py.State.fetch({"raise", "closed"}) == {:ok, true} end)
  end

  test "the generator is closed when the consumer dies" do
    test = self()

    pid =
      spawn(fn ->
        Py.stream!(:elixir_streams, :count, ["die"])
        |> Enum.each(fn n ->
          if n == 3, do: send(test, :three)
          n == 3 && Process.sleep(:infinity)
        end)
      end)

    assert_receive :three
    Process.exit(pid, :kill)
    eventually(fn -> Py.State.fetch({"die", "closed"}) == {:ok, true} end)
  end

  test "no more items than credit are ahead of the consumer" do
    Py.stream!(:elixir_streams, :count, ["credit"], [], credit: 4)
    |> Stream.each(fn n -> assert Py.State.fetch!({"credit", "at"}) <= n + 1 + 2 * 4 end)
    |> Enum.take(200)
  end

  test "an exception in the middle is raised after the items before it" do
    stream = Py.stream_eval!("(1 // (2 - x) for x in range(5))")
    assert Enum.take(stream, 2) == [0, 1]
    assert_raise Py.Error, ~r/ZeroDivisionError/, fn -> Enum.to_list(stream) end
  end

  test "by hand" do
    ref = Py.Stream.start!(:itertools, :count, [10], [], credit: 4)
    assert Py.Stream.next(ref) == {:ok, 10}
    assert Py.Stream.next(ref) == {:ok, 11}
    assert Py.Stream.cancel(ref) == :ok
  end
end
