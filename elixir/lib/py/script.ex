defmodule Py.Script do
  @moduledoc """
  A piece of Python in an Elixir source file, written with `sigil_PY/2` of `Py.Sigil`.

  It runs on a worker in a namespace of its own, with the names that it is given and the module `erlang`; nothing of it stays but what it
  imports. Its value is that of its last statement, if that is an expression, else `nil`. Tracebacks name the Elixir file and line.
  """
  @enforce_keys [:code, :file, :line]
  defstruct [:code, :file, :line]

  @type t :: %__MODULE__{code: String.t(), file: String.t(), line: pos_integer()}

  # One expression, so that it needs nothing in the worker. The line breaks give each line of the script its number.
  @run """
  (lambda ast, tree, scope:
      [exec(compile(ast.Module(tree.body[:-1], []), file, 'exec'), scope),
       eval(compile(ast.Expression(tree.body[-1].value), file, 'eval'), scope)][1]
      if tree.body and isinstance(tree.body[-1], ast.Expr) else exec(compile(tree, file, 'exec'), scope))(
          __import__('ast'),
          __import__('ast').parse(chr(10) * (line - 1) + code, file),
          dict(names, erlang=__import__('erlang'), __name__='__main__', __file__=file))
  """

  @doc "Runs a script; `names` are its variables, options are those of `Py.eval/3`."
  @spec run(t(), :py.kwargs(), Py.Options.call()) :: Py.Result.t()
  def run(%__MODULE__{} = script, names \\ [], opts \\ []) do
    Py.eval(
      @run,
      [code: {:str, script.code}, file: {:str, script.file}, line: script.line, names: Map.new(names)],
      opts
    )
  end

  @doc "As `run/3`, but gives the value itself, or raises `Py.Error`."
  @spec run!(t(), :py.kwargs(), Py.Options.call()) :: term()
  def run!(script, names \\ [], opts \\ []), do: Py.Result.value!(run(script, names, opts))
end
