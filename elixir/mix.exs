defmodule Py.MixProject do
  use Mix.Project

  # One version for both languages.
  {:ok, [{:application, :erlang_python, app}]} = :file.consult(Path.join(__DIR__, "../erl/src/erlang_python.app.src"))

  @version to_string(app[:vsn])

  def project do
    [
      app: :py,
      version: @version,
      description: "Python for Elixir: one process per interpreter, calls through shared memory",
      elixir: "~> 1.14",
      elixirc_options: [warnings_as_errors: Mix.env() != :prod],
      # Tests implement Py.Encoder.
      consolidate_protocols: Mix.env() != :test,
      deps: [{:erlang_python, path: ".."}],
      aliases: ["py.gen.api": &gen_api/1]
    ]
  end

  def application do
    [extra_applications: [:logger]]
  end

  # The generator is loaded from gen/ on demand: it is no part of the library, and runs when lib/generated does not compile.
  defp gen_api(args) do
    Mix.Task.run("deps.loadpaths")
    gen = Path.join(__DIR__, "gen")
    drift = Path.join(__DIR__, "lib/py/gen/drift.ex")
    {:ok, _, _} = Kernel.ParallelCompiler.require([drift | Path.wildcard(Path.join(gen, "*.ex"))])
    # By its name at run time, for it is not there when this file is compiled.
    apply(:"Elixir.Py.Gen.Api", :main, [args, __DIR__, @version])
  end
end
