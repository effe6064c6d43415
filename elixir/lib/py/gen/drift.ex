defmodule Py.Gen.Drift do
  @moduledoc false
  # What a generated file says that a committed one does not, function by function.

  @doc "Lines that tell how `old` differs from `new`; none if they are the same text."
  def lines(same, same), do: []

  def lines(old, new) do
    {before, later} = {parts(old), parts(new)}
    removed = for key <- Map.keys(before) -- Map.keys(later), do: "removed  #{key}"
    added = for key <- Map.keys(later) -- Map.keys(before), do: "added    #{key}"

    changed =
      for {key, {says, does}} <- later, {was, did} <- [before[key] || {says, does}], {was, did} != {says, does} do
        what = if did != does, do: "  - #{did}\n  + #{does}", else: "  its documentation"
        "changed  #{key}\n#{what}"
      end

    case Enum.sort(removed ++ added ++ changed) do
      [] -> ["changed  nothing but the header or the layout"]
      found -> found
    end
  end

  # Name and arity of each definition, with its doc and with its spec and head.
  defp parts(text) do
    case Code.string_to_quoted(text) do
      {:ok, {:defmodule, _, [_, [do: {:__block__, _, forms}]]}} ->
        {parts, _} =
          Enum.reduce(forms, {%{}, {nil, ""}}, fn
            {:@, _, [{kind, _, [doc]}]}, {parts, {_, spec}} when kind in [:doc, :typedoc] ->
              {parts, {Macro.to_string(doc), spec}}

            {:@, _, [{:spec, _, [spec]}]}, {parts, {doc, _}} ->
              {parts, {doc, Macro.to_string(spec)}}

            {:@, _, [{:type, _, [type]}]}, {parts, {doc, _}} ->
              text = Macro.to_string(type)
              {Map.put(parts, "type " <> hd(String.split(text, " ")), {doc, text}), {nil, ""}}

            {kind, _, [head | body]}, {parts, {doc, spec}} when kind in [:def, :defdelegate] ->
              key = "#{kind} " <> name(head)

              {Map.put(parts, key, {doc, Enum.join([spec, Macro.to_string(head), Macro.to_string(body)], " ")}),
               {nil, ""}}

            _, state ->
              state
          end)

        parts

      _ ->
        %{}
    end
  end

  defp name({:when, _, [head, _]}), do: name(head)
  defp name({name, _, args}), do: "#{name}/#{length(args || [])}"
end
