defmodule Py.Sigil do
  @moduledoc """
  `import Py.Sigil` for Python in Elixir source files:

      script = ~P\"""
      total = sum(prices)
      total * (1 + vat)
      \"""
      Py.Script.run!(script, prices: [10, 20], vat: 0.2)

  `~PY` is the same for Elixir 1.15 and later, which have sigils of several letters.
  """

  @doc "A `Py.Script`, which knows its file and line."
  defmacro sigil_P(code, modifiers), do: script(code, modifiers, __CALLER__)

  @doc "A `Py.Script`, which knows its file and line."
  defmacro sigil_PY(code, modifiers), do: script(code, modifiers, __CALLER__)

  defp script({:<<>>, meta, [code]}, [], caller) do
    # The text of a heredoc begins in the line after its quotes.
    line = caller.line + if(meta[:indentation], do: 1, else: 0)
    file = Path.relative_to_cwd(caller.file)
    quote do: %Py.Script{code: unquote(code), file: unquote(file), line: unquote(line)}
  end

  defp script(_code, modifiers, caller) do
    raise CompileError, file: caller.file, line: caller.line, description: "~P has no modifiers, not even #{modifiers}"
  end
end
