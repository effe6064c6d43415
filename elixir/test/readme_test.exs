defmodule Py.ReadmeTest do
  use ExUnit.Case
  import Eventually

  @readme Path.expand("../README.md", __DIR__)

  @tag :tmp_dir
  @tag :capture_log
  test "the code blocks of README.md, one after another in one session", %{tmp_dir: dir} do
    blocks = Regex.scan(~r/^```elixir\n(.*?)^```$/ms, File.read!(@readme), capture: :all_but_first)
    # The first is the dependency, which the packaging tests try.
    assert [["{:py, git: " <> _] | blocks] = blocks
    assert length(blocks) > 8

    # As the guide has it before its code uses them.
    Mix.shell(Mix.Shell.Quiet)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)

    [[command]] =
      Regex.scan(~r/^mix py.gen (.*) my_pkg.sub(?= --prefix)/m, File.read!(@readme), capture: :all_but_first)

    Mix.Tasks.Py.Gen.run(String.split(command) ++ ["--prefix", "MyApp.Py", "--out", dir])
    {:ok, _, []} = [dir, "**/*.ex"] |> Path.join() |> Path.wildcard() |> Kernel.ParallelCompiler.compile()

    Enum.reduce(blocks, {[], __ENV__}, fn [code], {binding, env} ->
      {_, binding, env} = Code.eval_quoted_with_env(Code.string_to_quoted!(code), binding, env)
      {binding, env}
    end)

    Py.unbind()
    actor_begins_anew(Module.concat(__MODULE__, Tally))
  end

  # What the guide says of the actor it has defined: when Python dies, its supervisor starts it again.
  defp actor_begins_anew(tally) do
    start_supervised!(tally)
    assert tally.add(10) == 10
    first = Process.whereis(tally)
    assert {:error, %Py.Error{type: :worker_down}} = Py.Context.exec(:sys.get_state(tally), "import os\nos._exit(1)")
    catch_exit(tally.add(5))
    eventually(fn -> Process.whereis(tally) not in [nil, first] end)
    assert tally.add(5) == 5
  end

  test "every public module is in the table, and says what it is" do
    {:ok, modules} = :application.get_key(:py, :modules)
    table = File.read!(@readme)

    for module <- modules,
        not match?("Elixir.Py.Encoder." <> _, to_string(module)),
        {:docs_v1, _, _, _, doc, _, functions} = Code.fetch_docs(module),
        doc != :hidden do
      assert match?(%{"en" => _}, doc), "#{inspect(module)} has no moduledoc"
      assert module in [Py.Lazy, Py.Pool.Server, Py.Result] or table =~ "`#{inspect(module)}`"

      for {{kind, name, arity}, _, _, doc, meta} <- functions, kind in [:function, :macro] do
        assert doc != :none or meta[:delegate_to] != nil or name in [:impl_for, :impl_for!, :__protocol__, :exception] or
                 {name, arity} == {:__struct__, 0},
               "#{inspect(module)}.#{name}/#{arity} has no doc"
      end
    end
  end
end
