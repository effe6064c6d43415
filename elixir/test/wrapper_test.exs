defmodule Py.WrapperTest do
  use ExUnit.Case

  # The packages of the Erlang suite. The golden files are what `mix py.gen` makes of them, with PY_GEN_GOLDEN=write again.
  @apps Path.expand("../../tests/apps", __DIR__)
  @golden Path.expand("golden", __DIR__)
  @modules ~w(gen_fixture gen_fixture.annotated gen_fixture.objects gen_fixture.typed gen_stubbed)

  setup_all do
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    :ok = Py.exec_all!("import sys; sys.path.append(#{inspect(@apps)})")
    if System.get_env("PY_GEN_GOLDEN") == "write", do: gen(@modules ++ ["--prefix", "Fx", "--out", @golden])
    compile(@golden)
    :ok
  end

  defp gen(args), do: Mix.Tasks.Py.Gen.run(args)

  # A warning is an error.
  defp compile(dir) do
    {:ok, modules, []} = [dir, "**/*.ex"] |> Path.join() |> Path.wildcard() |> Kernel.ParallelCompiler.compile()
    modules
  end

  defp message(args), do: assert_raise(Mix.Error, fn -> gen(args) end).message

  defmodule Item do
    @derive Py.Encoder
    defstruct [:name]
  end

  defmodule Opaque do
    defstruct []
  end

  alias Fx.GenFixture
  alias Fx.GenFixture.{Annotated, Objects, Typed}

  @tag :tmp_dir
  test "the same surface gives the same bytes, which are those that are committed", %{tmp_dir: dir} do
    gen(["--check", "--prefix", "Fx", "--out", @golden | @modules])
    gen(["--prefix", "Fx", "--out", dir | @modules])
    paths = fn dir -> [dir, "**/*.ex"] |> Path.join() |> Path.wildcard() |> Enum.map(&Path.relative_to(&1, dir)) end
    assert paths.(dir) == paths.(@golden)

    for path <- paths.(dir),
        do: assert({path, File.read!(Path.join(dir, path))} == {path, File.read!(Path.join(@golden, path))})
  end

  test "functions" do
    assert apply(GenFixture, :required, [1, 2]) == {:ok, [1, 2]}
    assert apply(GenFixture, :required!, [1, 2]) == [1, 2]
    assert apply(GenFixture, :defaults!, [1]) == [1, 2, 3]
    assert apply(GenFixture, :defaults!, [1, [b: 5, c: 6], [timeout: 5000]]) == [1, 5, 6]
    assert apply(GenFixture, :positional!, [1, [c: 6, b: 5]]) == [1, 5, 6]
    assert apply(GenFixture, :keyword_only!, [[key: 7]]) == [7, nil]
    assert apply(GenFixture, :star!, ["a", ["b", "c"]]) == "a-b-c"
    assert apply(GenFixture, :star!, ["a", ["b"], [sep: "+"]]) == "a+b"
    assert apply(GenFixture, :star_after_default!, [1, [3, 4], [b: 2]]) == [1, 2, [3, 4]]
    assert apply(GenFixture, :star_after_default!, [1, []]) == [1, 1, []]
    assert apply(GenFixture, :anything!, [[x: 1, end: 2]]) == %{"x" => 1, "end" => 2}
    assert apply(GenFixture, :everything!, [1, [6], [b: 5, c: 2, d: 3, e: 7]]) == [1, 5, [6], 2, 3, %{"e" => 7}]
    assert apply(GenFixture, :names!, [1, 2, 3, 4, 5, [when: 6]]) == [1, 2, 3, 4, 5, 6]
    assert apply(GenFixture, :hidden!, [1, [3], [_b: 2, _c: 5]]) == [1, 2, [3], 5, 4]
    assert apply(GenFixture, :formatted!, [["%Y", {2020, 1, 1, 0, 0, 0, 0, 1, 0}]]) == "2020"
    assert apply(GenFixture, :quoted!, []) == ~S(""")
    assert apply(GenFixture, :shout!, ["ho"]) == "HO!"
    assert apply(GenFixture, :cached!, [[x: 4]]) == 8
    assert {:py_object, _} = apply(GenFixture, :managed!, [1])

    assert {:error, %Py.Error{type: "FixtureError", message: "no", traceback: "Trace" <> _}} =
             apply(GenFixture, :fails, [])

    assert_raise Py.Error, ~r/no/, fn -> apply(GenFixture, :fails!, []) end
    assert apply(GenFixture, :limit!, []) == 10
    assert apply(GenFixture, :letters, [[timeout: 5000]]) == {:ok, {"a", "b"}}
    assert apply(GenFixture, :later!, [3, [add: 2]]) == 5
  end

  test "a keyword argument that is unknown or missing is an error that helps" do
    assert {:error, %Py.Error{type: :badarg, message: message}} = apply(GenFixture, :star, ["a", [], [sepp: 1]])
    assert message == "gen_fixture.star has no keyword argument sepp; did you mean sep?"
    assert {:error, %Py.Error{message: message}} = apply(GenFixture, :keyword_only, [[]])
    assert message == "gen_fixture.keyword_only needs keyword argument key"
    assert_raise Py.Error, ~r/did you mean step\?/, fn -> apply(GenFixture, :count!, [1, [stepp: 1]]) end

    assert_raise Py.Error, ~r/did you mean step\?/, fn ->
      apply(Objects.Counter, :upto!, [counter([]), 1, [stepp: 1]])
    end
  end

  test "generators are lazy" do
    assert apply(GenFixture, :count!, [3, [step: 2]]) |> Enum.to_list() == [0, 2, 4]
    assert apply(GenFixture, :endless!, []) |> Enum.take(3) == [0, 1, 2]
    assert apply(GenFixture, :acount!, [2, [], [credit: 1]]) |> Enum.to_list() == [0, 1]
    assert apply(Objects.Counter, :upto!, [counter(start: 1), 4, [step: 2]]) |> Enum.to_list() == [1, 3]
    assert apply(Objects.Counter, :aupto!, [counter(start: 1), 3]) |> Enum.to_list() == [1, 2]
    assert apply(Objects.Counter, :iter!, [counter(start: 2)]) |> Enum.to_list() == [0, 1]
  end

  defp counter(kwargs), do: apply(Objects.Counter, :new!, [kwargs])

  test "objects" do
    counter = counter(start: 2, step: 3)
    assert Py.Object.object?(counter)
    assert apply(Objects.Counter, :increment!, [counter, [times: 2]]) == 8
    assert apply(Objects.Counter, :value!, [counter]) == 8
    assert apply(Objects.Counter, :set_value, [counter, 4]) == :ok
    assert apply(Objects.Counter, :set_value!, [counter, 5]) == :ok
    assert apply(Objects.Counter, :value, [counter]) == {:ok, 5}
    assert apply(Objects.Counter, :kind!, [counter]) == "counter"
    assert apply(Objects.Counter, :fixed!, [counter]) == "fixed"
    assert apply(Objects.Base, :overridden!, [counter]) == "counter"
    assert apply(Objects.Counter, :inherited!, [counter]) == "inherited"
    assert apply(Objects.Counter, :increment!, [apply(Objects.Counter, :another!, [counter])]) == 8
    assert apply(Objects.Counter, :call!, [counter, 3]) == 15
    assert apply(Objects.Counter, :len!, [counter]) == 5
    assert apply(Objects.Counter, :getitem!, [counter, 2]) == 7
    assert apply(Objects.Counter, :contains!, [counter, 5])
    assert apply(Objects.Counter, :made_by!, [counter]) == nil
    assert apply(Objects.Counter, :limit!, [counter]) == 100
    assert apply(Objects.Counter, :later!, [counter, [add: 1]]) == 6
    assert apply(Objects.Counter, :total!, [counter, [1, 2], [start: 7]]) == 10
    assert apply(Objects.Counter, :increment!, [apply(Objects.Counter, :from_text!, ["41", [step: 9]])]) == 50
    assert apply(Objects.Counter, :add!, [2, [b: 3]]) == 5
    assert apply(Objects.Counter.Limit, :get!, [apply(Objects.Counter.Limit, :new!, [])]) == 5
    assert apply(Objects.Slotted, :x!, [apply(Objects.Slotted, :new!, [9])]) == 9
    assert {:error, %Py.Error{type: :badarg}} = apply(Objects.Counter, :set_value, [:junk, 1])
  end

  test "dataclasses, enumerations, named tuples, dicts" do
    point = apply(Objects.Point, :new!, [3, [y: 4]])
    assert apply(Objects.Point, :norm!, [point]) == 5.0
    assert apply(Objects.Point, :to_map!, [point]) == %{"x" => 3, "y" => 4, "tags" => []}
    assert apply(Objects.Point, :set_x!, [point, 30]) == :ok
    assert apply(Objects, :describe!, [point]) == "30,4"
    assert apply(Objects.Frozen, :name!, [apply(Objects.Frozen, :new!, ["n"])]) == "n"
    refute function_exported?(Objects.Frozen, :set_name, 2)
    red = apply(Objects.Color, :red!, [])
    assert {apply(Objects.Color, :value!, [red]), apply(Objects.Color, :name!, [red])} == {1, "RED"}
    assert apply(Objects.Color, :lower!, [apply(Objects, :color!, ["RED"])]) == "red"
    assert apply(Objects.Color, :name!, [apply(Objects.Color, :new!, ["g"])]) == "green"
    assert apply(Objects, :level!, [apply(Objects.Level, :high!, [])]) == 2
    pair = apply(Annotated.Pair, :new!, [1])
    assert {apply(Annotated.Pair, :left!, [pair]), apply(Annotated, :pair!, [pair])} == {1, {1, 0.5}}
    assert apply(Annotated, :movie!, [%{title: "t"}]) == %{"title" => "t"}
    assert apply(Annotated, :scalars!, [1, 2.0, "c", {:bytes, "d"}, true]) == {1, 2.0, "c", "d", true, nil}
    assert apply(Annotated, :text!, [:w]) == "w"
    assert apply(Annotated, :both!, ["x", [times: 2]]) == "xx"
    assert apply(Annotated, :iterate!, [2]) |> Enum.to_list() == [0, 1]
    thing = apply(Typed.Thing, :new!, ["n"])
    assert apply(Typed.Thing, :get!, [apply(Typed.Thing, :rename!, [thing, "m"]), "name"]) == "m"
    assert apply(Fx.GenStubbed, :area!, [2.0, [height: 1.5]]) == 3.0
  end

  test "a struct is what its encoder says" do
    assert apply(GenFixture, :required!, [%Item{name: "tea"}, 1]) == [%{"name" => "tea"}, 1]
    assert_raise Protocol.UndefinedError, fn -> apply(GenFixture, :required!, [%Opaque{}, 1]) end
  end

  test "specs are those of the annotations" do
    text = File.read!(Path.join(@golden, "gen_fixture/annotated.ex")) |> String.replace(~r/\s+/, " ")

    for part <- [
          "@spec optional(optional_kwargs(), opts()) :: Result.t(integer() | nil)",
          "@spec either(integer() | String.t(), [], opts()) :: Result.t(integer() | String.t())",
          "@spec text(:r | String.t() | :w | 1 | true | nil, [], opts()) :: Result.t(String.t())",
          "@spec call(:py.ref(), integer(), [], opts()) :: Result.t(integer())",
          "Result.t(%{optional(String.t()) => [integer()]})",
          "@spec tuples(tuple() | :py.ref(), {integer(), String.t()} | :py.ref(), [], opts()) :: Result.t(tuple())",
          "@spec iterate!(integer(), [], Py.Options.stream()) :: Enumerable.t()",
          "@type movie :: %{optional(String.t() | atom()) => String.t() | integer()}",
          "@spec pair(Fx.GenFixture.Annotated.Pair.t() | {integer(), number()} | :py.ref(), [], opts()) :: Result.t({integer(), Wrapper.real()})"
        ],
        do: assert({part, text} |> then(fn {part, text} -> String.contains?(text, part) end), part)
  end

  @tag :tmp_dir
  test "clashes and reserved words stop the task, which prints what solves them", %{tmp_dir: dir} do
    args = ["gen_fixture.clashing", "--prefix", "Clash", "--out", dir]
    text = message(args)
    renames = Regex.scan(~r/--rename \S+/, text) |> List.flatten()

    assert Enum.map(renames, &hd(String.split(&1, "="))) |> Enum.sort() ==
             for(name <- ~w(Box.new Box.x.setter fn nan receive), do: "--rename gen_fixture.clashing.#{name}")
             |> Enum.sort()

    assert Path.wildcard(dir <> "/*") == []
    gen(args ++ Enum.flat_map(renames, &String.split/1))
    compile(dir)
    assert apply(Clash.GenFixture.Clashing, :fn_!, [1]) == ["fn", 1]
    assert apply(Clash.GenFixture.Clashing, :receive_!, [1]) == ["receive", 1]
    assert message(args ++ ["--rename", "gone=x"]) =~ "there is no gone"
    assert message(args ++ ["--rename", "gone"]) =~ "it is PATH=NAME"
  end

  @tag :tmp_dir
  test "--check tells what was added, removed, changed or edited", %{tmp_dir: dir} do
    package = Path.join(dir, "gen_mix_drift.py")
    args = ["gen_mix_drift", "--prefix", "Drift", "--out", Path.join(dir, "lib")]

    write = fn code ->
      File.write!(package, code)

      Py.exec_all!(
        "import sys, importlib; sys.modules.pop('gen_mix_drift', None); importlib.invalidate_caches(); sys.path.insert(0, #{inspect(dir)}); sys.dont_write_bytecode = True"
      )
    end

    write.("def f(x): return x\n")
    assert message(["--check" | args]) =~ "gen_mix_drift.ex: added    the file"
    gen(args)
    gen(["--check" | args])
    write.("def f(x, *, y=1): return x\ndef g(x): return x\n")
    text = message(["--check" | args])
    for part <- ["added    def g/3", "changed  def f/3\n  - "], do: assert(text =~ part)
    gen(args)
    write.("def f(x, *, y=1):\n    'Doc.'\n    return x\n")
    text = message(["--check" | args])
    for part <- ["removed  def g/3", "changed  def f/3\n  its documentation"], do: assert(text =~ part)
    gen(args)
    path = Path.join(dir, "lib/gen_mix_drift.ex")
    File.write!(path, File.read!(path) <> "# more\n")
    assert message(["--check" | args]) =~ "was edited by hand"
  end

  @tag :tmp_dir
  test "sizes without docstrings", %{tmp_dir: dir} do
    numpy =
      if Py.eval!("__import__('importlib.util').util.find_spec('numpy') is not None"), do: ["numpy.ndarray"], else: []

    gen(["json", "--no-docs", "--prefix", "Sizes", "--out", dir] ++ numpy)

    size = fn pattern ->
      [dir, pattern] |> Path.join() |> Path.wildcard() |> Enum.map(&File.stat!(&1).size) |> Enum.sum()
    end

    assert size.("json.ex") + size.("json/*.ex") < 15_000
    assert size.("numpy/*.ex") < 25_000
    compile(dir)
    assert apply(Sizes.Json, :dumps!, [[1, %{a: nil}], [indent: nil]]) == ~S([1, {"a": null}])
    assert message(["--prefix", "Sizes"]) =~ "usage"
    assert message(["json", "--prefix", "Py"]) =~ "take MyApp.Py"
    assert message(["no_such_module", "--prefix", "Sizes", "--out", dir]) =~ "ModuleNotFoundError"
  end
end
