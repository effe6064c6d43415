# The interpreter of the other suites; any python3 when the tests are run by hand.
if python = System.get_env("PY_TEST_PYTHON") do
  :ok = Application.stop(:erlang_python)
  Application.put_env(:erlang_python, :python, python)
  :ok = Application.start(:erlang_python)
end

# The generator is no part of the library. It compiles without a warning.
{:ok, _, []} = [__DIR__, "../gen/*.ex"] |> Path.join() |> Path.wildcard() |> Kernel.ParallelCompiler.require()

defmodule Eventually do
  # Waits until a condition holds.
  def eventually(fun, tries \\ 3000) do
    cond do
      fun.() ->
        :ok

      tries == 0 ->
        ExUnit.Assertions.flunk("it did not happen")

      true ->
        Process.sleep(10)
        eventually(fun, tries - 1)
    end
  end
end

ExUnit.start(timeout: 120_000, assert_receive_timeout: 30_000)
