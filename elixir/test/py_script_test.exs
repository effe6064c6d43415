defmodule Py.ScriptTest do
  use ExUnit.Case
  import Py.Sigil

  test "the value is that of the last expression" do
    assert Py.Script.run!(~P"1 + 1") == 2
    assert Py.Script.run!(~P"x * y", x: 6, y: 7) == 42

    script = ~P"""
    def double(n):
        return 2 * n
    [double(n) for n in numbers]
    """

    assert Py.Script.run!(script, numbers: [1, 2]) == [2, 4]
    assert Py.Script.run!(~P"x = 1") == nil
    assert Py.Script.run!(~P"") == nil
  end

  test "nothing of it stays" do
    assert Py.Script.run!(~P"left_behind = 1") == nil
    assert {:error, %Py.Error{type: "NameError"}} = Py.Script.run(~P"left_behind")
  end

  test "the text is not touched" do
    assert Py.Script.run!(~P"'a\tb' + '#{x}'") == "a\tb" <> "\#{x}"
  end

  test "tracebacks name the Elixir file and line" do
    script = ~P"""
    def fail():
        return 1 / 0
    fail()
    """

    here = __ENV__.line - 5
    assert {:error, error} = Py.Script.run(script)
    assert error.type == "ZeroDivisionError"
    assert error.traceback =~ ~s|File "test/py_script_test.exs", line #{here + 1}, in fail|
    assert error.traceback =~ ~s|File "test/py_script_test.exs", line #{here + 2}, in <module>|
    one = {~P"1 / 0", __ENV__.line}
    assert {:error, error} = Py.Script.run(elem(one, 0))
    assert error.traceback =~ ~s|File "test/py_script_test.exs", line #{elem(one, 1)}, in <module>|
  end

  test "so do syntax errors" do
    bad = {~P"x = = 1", __ENV__.line}
    assert {:error, %Py.Error{type: "SyntaxError"} = error} = Py.Script.run(elem(bad, 0))
    assert error.traceback =~ ~s|File "test/py_script_test.exs", line #{elem(bad, 1)}|
  end

  test "PY, as Elixir 1.15 calls it" do
    assert Py.Script.run!(sigil_PY(<<"2 + 2">>, [])) == 4
  end

  test "modifiers are refused" do
    assert_raise CompileError, ~r/no modifiers/, fn -> Code.eval_string(~s|import Py.Sigil; ~P"1"x|) end
  end
end
