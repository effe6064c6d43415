# The interpreter of the other suites; any python3 when the tests are run by hand.
if python = System.get_env("PY_TEST_PYTHON") do
  :ok = Application.stop(:erlang_python)
  Application.put_env(:erlang_python, :python, python)
  :ok = Application.start(:erlang_python)
end

# The generator is no part of the library. It compiles without a warning.
{:ok, _, []} = [__DIR__, "../gen/*.ex"] |> Path.join() |> Path.wildcard() |> Kernel.ParallelCompiler.require()

ExUnit.start(timeout: 120_000)
