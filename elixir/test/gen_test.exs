defmodule Py.GenTest do
  use ExUnit.Case
  alias Py.Gen.{Api, Doc, Drift, Emit, Surface}

  @root Path.expand("..", __DIR__)

  setup_all do
    {names, _} = Code.eval_file(Path.join(@root, "gen/names.exs"))
    surface = for module <- [:py_state, :py_semaphore], one <- Surface.functions(module, Emit.source(module)), do: one

    small = %{
      names
      | modules: [
          {Small, "A small module.",
           for name <- [:fetch, :store, :remove, :keys, :clear, :incr, :decr] do
             {{:py_state, name}, name}
           end ++
             for name <- [:acquire, :current, :max_concurrent, :set_max_concurrent] do
               {{:py_semaphore, name}, name}
             end ++ [{{:py_semaphore, :release}, :release}]}
        ],
        delegates: [],
        same: [],
        left_out: []
    }

    {:ok, surface: surface, names: small}
  end

  test "the same surface gives the same bytes, which are those that are committed" do
    files = Api.generate(@root, "0.1.0")
    assert files == Api.generate(@root, "0.1.0")
    assert length(files) > 10
    for {path, text} <- files, do: assert({path, File.read!(Path.join(@root, path))} == {path, text})
  end

  test "what is @private is hidden, the rest is described", %{surface: surface} do
    assert %{hidden: true} = Enum.find(surface, &(&1.name == :create_table))
    assert %{hidden: false, arities: [one, two]} = Enum.find(surface, &(&1.name == :incr))
    assert {one.params, two.params} == {["Key"], ["Key", "Amount"]}
    assert {:doc, "Adds to a counter" <> _} = two.doc
    assert {:equiv, _} = one.doc
  end

  test "types are named where they are exported, and written out where they are not" do
    alias Py.Gen.Types
    assert Types.text(:py_stream, {:user_type, 0, :options, []}) == ":py_stream.options()"
    assert Types.text(:py_stream, {:user_type, 0, :credit, []}) == "pos_integer() | :infinity"
  end

  test "a function without a place stops the generator, with the line to add", context do
    names = drop(context.names, {:py_state, :decr})
    error = assert_raise Mix.Error, fn -> Emit.files(context.surface, names) end
    assert error.message =~ "{{:py_state, :decr, 2}, :decr}"
  end

  test "clashes stop the generator, with the line to change", context do
    for name <- [:store, :fetch, :send, :when] do
      names = context.names |> drop({:py_state, :decr}) |> add({{:py_state, :decr}, name})

      # decr/2 has the arity of store and Kernel.send/2, decr/1 that of fetch.
      error = assert_raise Mix.Error, fn -> Emit.files(context.surface, names) end
      assert error.message =~ "is taken; give py_state:decr another name"
    end
  end

  test "a line for what does not exist stops the generator", context do
    names = add(context.names, {{:py_state, :gone}, :gone})
    assert_raise Mix.Error, ~r/py_state:gone is not exported/, fn -> Emit.files(context.surface, names) end
  end

  test "EDoc becomes Markdown" do
    link = fn {module, name, arity} -> "#{module}|#{name}/#{arity}" end
    markdown = &Doc.markdown(&1, link, %{"done" => ":done", "Timeout" => "timeout"})
    assert markdown.("As {@link f/1}; the worker's `__main__' isn't") == "As `|f/1`; the worker's `__main__` isn't"
    assert markdown.("{@link py:f/1} or `py:g/2'") == "`py|f/1` or `py|g/2`"
    assert markdown.("`done' after `Timeout' ms") == "`:done` after `timeout` ms"
    assert markdown.("`{py_error, Ref, {a, [1, \"x\"]}}'") == "`{:py_error, ref, {:a, [1, \"x\"]}}`"
    assert markdown.("`{error, timeout}'") == "`{:error, %Py.Error{type: :timeout}}`"
    assert markdown.("`return => ref', `erlang.call(Name, ...)'") == "`return: ref`, `erlang.call(Name, ...)`"
  end

  test "drift is told function by function" do
    old = "defmodule A do\n@doc \"a\"\n@spec f(x :: term()) :: :ok\ndef f(x), do: x\n\n@doc \"b\"\ndef g(x), do: x\nend"
    assert Drift.lines(old, old) == []
    assert Drift.lines(old, String.replace(old, "def g(x)", "def g(x, y)")) == ["added    def g/2", "removed  def g/1"]
    assert ["changed  def f/1\n  - " <> _] = Drift.lines(old, String.replace(old, ":: :ok", ":: :error"))
    assert ["changed  def g/1\n  its documentation"] = Drift.lines(old, String.replace(old, "\"b\"", "\"c\""))
    assert ["changed  nothing but" <> _] = Drift.lines(old, "# header\n" <> old)
  end

  @tag :tmp_dir
  test "--check fails on files that are stale, edited, missing or strange", %{tmp_dir: dir} do
    File.mkdir_p!(Path.join(dir, "lib/generated"))
    for part <- ["gen"], do: File.cp_r!(Path.join(@root, part), Path.join(dir, part))
    message = fn -> assert_raise(Mix.Error, fn -> Api.main(["--check"], dir, "0.1.0") end).message end

    assert message.() =~ "lib/generated/py.ex: added    the file"
    Mix.shell(Mix.Shell.Quiet)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    Api.main([], dir, "0.1.0")
    Api.main(["--check"], dir, "0.1.0")

    state = Path.join(dir, "lib/generated/py_state.ex")
    text = File.read!(state)
    File.write!(state, String.replace(text, "def keys()", "def all_keys()"))
    assert message.() =~ "py_state.ex: was edited by hand"
    assert message.() =~ "py_state.ex: added    def keys/0"
    File.write!(state, text)

    File.write!(Path.join(dir, "lib/generated/py_old.ex"), "")
    assert message.() =~ "py_old.ex: removed  the file"
    Api.main([], dir, "0.1.0")
    Api.main(["--check"], dir, "0.1.0")
  end

  defp drop(%{modules: [{module, doc, lines}]} = names, key) do
    %{names | modules: [{module, doc, Enum.reject(lines, &(elem(&1, 0) == key))}]}
  end

  defp add(%{modules: [{module, doc, lines}]} = names, line), do: %{names | modules: [{module, doc, lines ++ [line]}]}
end
