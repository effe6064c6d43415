defmodule Py.Wrapper.Types do
  @moduledoc false
  # Neutral types (worker/python/_erlang_gen_types.py) as text of Elixir. What goes to Python may be more than what comes from it: a handle
  # can stand for anything that is no plain value.

  @ref ":py.ref()"

  @doc "`direction` is `:to` or `:from` Python; `known` has the types of classes by their paths."
  def text(type, direction, known), do: type |> parts(direction, known) |> Enum.uniq() |> Enum.join(" | ")

  defp parts(["any"], _, _), do: ["term()"]
  defp parts(["none"], _, _), do: ["nil"]
  defp parts(["bool"], _, _), do: ["boolean()"]
  defp parts(["int"], _, _), do: ["integer()"]
  defp parts(["float"], :to, _), do: ["number()"]
  defp parts(["float"], :from, _), do: ["Wrapper.real()"]
  defp parts(["str"], _, _), do: ["String.t()"]
  defp parts(["bytes"], :to, _), do: ["binary()", "{:bytes, binary()}"]
  defp parts(["bytes"], :from, _), do: ["binary()"]
  defp parts([kind], _, _) when kind in ["ref", "callable"], do: [@ref]
  defp parts(["iter", _], _, _), do: [@ref]
  defp parts(["iterable", _], :from, _), do: ["term()"]

  defp parts([kind, item], direction, known) when kind in ["list", "set", "iterable"],
    do: ["[#{text(item, direction, known)}]" | or_ref(direction)]

  defp parts(["variadic", _], direction, _), do: ["tuple()" | or_ref(direction)]
  defp parts(["tuple", items], d, known), do: ["{#{Enum.map_join(items, ", ", &text(&1, d, known))}}" | or_ref(d)]

  defp parts(["dict", key, value], direction, known) do
    key = if key == ["str"] and direction == :to, do: "String.t() | atom()", else: text(key, direction, known)
    ["%{optional(#{key}) => #{text(value, direction, known)}}" | or_ref(direction)]
  end

  defp parts(["union", types], d, known) do
    parts = Enum.flat_map(types, &parts(&1, d, known))
    if "term()" in parts, do: ["term()"], else: parts
  end

  defp parts(["literal", values], direction, _), do: Enum.flat_map(values, &literal(&1, direction))
  defp parts(["class", path], _, known), do: [known[path] || @ref]

  # A TypedDict has the name of a term; other classes have names of their handles.
  defp parts(["class", path, crossing], direction, known) do
    case {known[path], direction} do
      {{:term, name}, :to} -> [name, @ref]
      {{:term, name}, :from} -> [name]
      {name, :to} -> [name || @ref | parts(crossing, :to, known)]
      {_, :from} -> parts(crossing, :from, known)
    end
  end

  defp or_ref(:to), do: [@ref]
  defp or_ref(:from), do: []

  # Atoms other than these go to Python as strings.
  defp literal(["str", text], :to) do
    if text =~ ~r/\A[a-z_]\w*\z/ and text not in ~w(true false nil none undefined),
      do: [":" <> text, "String.t()"],
      else: ["String.t()"]
  end

  defp literal(["str", _], :from), do: ["String.t()"]
  defp literal(["bytes", _], direction), do: parts(["bytes"], direction, %{})
  defp literal(["none"], _), do: ["nil"]
  defp literal([_, value], _) when is_integer(value) or is_boolean(value), do: ["#{value}"]
  defp literal(_, _), do: ["term()"]
end
