defmodule Py.Gen.Doc do
  @moduledoc false
  # EDoc comments of a source file, and their text as Markdown.

  @doc """
  What stands above each function and type: `%{{:function, name, arity} => comment, {:type, name} => comment}`. A comment is
  `{:doc, text}`, `:private` or `{:equiv, text}`.
  """
  def comments(source) do
    lines = source |> File.read!() |> String.split("\n")
    Map.merge(functions(lines, [], %{}), types(lines, %{}))
  end

  # A comment with a tag, then -spec and its head.
  defp functions([], _comment, found), do: found

  defp functions(["%%" <> _ = line | rest], comment, found), do: functions(rest, comment ++ [strip(line)], found)

  defp functions(["-spec " <> head | rest], comment, found) do
    [name] = Regex.run(~r/^[a-z]\w*/, head)
    # Several specs of one name follow one another with their arities in the order of the source.
    functions(rest, [], Map.update(found, {:function, name}, [tagged(comment)], &(&1 ++ [tagged(comment)])))
  end

  defp functions([_ | rest], _comment, found), do: functions(rest, [], found)

  # The comment of a type follows it.
  defp types([], found), do: found

  defp types(["-type " <> head | rest], found) do
    [name] = Regex.run(~r/^[a-z]\w*/, head)
    {_, rest} = Enum.split_while(["-type " <> head | rest], &(not String.ends_with?(&1, ".")))
    {comment, rest} = rest |> Enum.drop(1) |> Enum.split_while(&String.starts_with?(&1, "%% "))
    {comment, _} = Enum.split_while(comment, &(not String.starts_with?(&1, "%% @")))
    types(rest, Map.put(found, {:type, name}, Enum.map_join(comment, "\n", &strip/1)))
  end

  defp types([_ | rest], found), do: types(rest, found)

  defp strip(line), do: line |> String.trim_leading("%") |> String.replace_prefix(" ", "")

  defp tagged(["@doc " <> first | rest]), do: {:doc, Enum.join([first | rest], "\n")}
  defp tagged(["@equiv " <> text | _]), do: {:equiv, text}
  defp tagged(["@private" <> _ | _]), do: :private
  defp tagged(["@hidden" <> _ | _]), do: :private
  defp tagged(_), do: :none

  @doc """
  Markdown of an EDoc text. `link` gives the text for `{module or nil, name, arity}`, `names` are the variables and atoms that the
  text may mention.
  """
  def markdown(text, link, names) do
    Regex.replace(~r/\{@link\s+([^}]+)\}|`([^`'\n]+)'/, text, fn
      _, target, "" -> "`" <> reference(target, link) <> "`"
      _, "", code -> "`" <> code(code, link, names) <> "`"
    end)
  end

  defp reference(target, link) do
    case Regex.run(~r/^(?:([a-z]\w*):)?([a-z]\w*)\/(\d+)$/, target) do
      [_, module, name, arity] -> link.({module, name, String.to_integer(arity)})
      nil -> target
    end
  end

  # Erlang in backticks becomes Elixir; what is neither a term nor a name that is known stays.
  defp code(text, link, names) do
    cond do
      Regex.match?(~r/^[a-z]\w*:[a-z]\w*\/\d+$/, text) ->
        reference(text, link)

      option = Regex.run(~r/^([a-z]\w*) => (.+)$/, text) ->
        "#{Enum.at(option, 1)}: #{code(Enum.at(option, 2), link, names)}"

      text in ["true", "false"] ->
        text

      Map.has_key?(names, text) ->
        names[text]

      compound = term(text) ->
        compound

      true ->
        text
    end
  end

  defp term(text) do
    with true <- String.starts_with?(text, ["{", "[", "#"]),
         {:ok, tokens, _} <- :erl_scan.string(String.to_charlist(text <> ".")),
         {:ok, [form]} <- :erl_parse.parse_exprs(tokens) do
      elixir(form)
    else
      _ -> nil
    end
  end

  # Reasons are what Py.Error tells.
  defp elixir({:tuple, _, [{:atom, _, :error}, {:atom, _, type}]}), do: "{:error, %Py.Error{type: #{inspect(type)}}}"

  defp elixir({:tuple, _, [{:atom, _, :error}, {:tuple, _, [{:atom, _, _} | _]} = reason]}),
    do: "{:error, %Py.Error{reason: #{elixir(reason)}}}"

  defp elixir({:tuple, _, items}), do: "{#{Enum.map_join(items, ", ", &elixir/1)}}"
  defp elixir({:cons, _, _, _} = list), do: "[#{list |> items() |> Enum.map_join(", ", &elixir/1)}]"
  defp elixir({nil, _}), do: "[]"
  defp elixir({:var, _, :_}), do: "_"
  defp elixir({:var, _, name}), do: name |> to_string() |> Macro.underscore()
  defp elixir({:string, _, text}), do: inspect(to_string(text))
  defp elixir({_, _, value}), do: inspect(value)

  defp items({:cons, _, head, tail}), do: [head | items(tail)]
  defp items({nil, _}), do: []
end
