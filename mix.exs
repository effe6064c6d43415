defmodule ErlangPython.MixProject do
  use Mix.Project

  # One description of the application for rebar3 and Mix.
  {:ok, [{:application, :erlang_python, app}]} =
    :file.consult(Path.join(__DIR__, "erl/src/erlang_python.app.src"))

  @app app

  def project do
    [
      app: :erlang_python,
      version: to_string(@app[:vsn]),
      description: to_string(@app[:description]),
      language: :erlang,
      compilers: [:rust, :erlang, :app],
      erlc_paths: ["erl/src"],
      erlc_options: [:debug_info],
      deps: []
    ]
  end

  def application do
    Keyword.take(@app, [:mod, :registered, :env, :applications])
  end
end

defmodule Mix.Tasks.Compile.Rust do
  @moduledoc false
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    case Mix.shell().cmd("make --no-print-directory native") do
      0 ->
        # Links priv/, which may not have existed before, into the build directory.
        Mix.Project.build_structure()
        {:ok, []}

      status ->
        Mix.raise("could not build the Rust parts of erlang_python: make ended with #{status}")
    end
  end
end
