defmodule Py.Gen.Emit do
  @moduledoc false
  # Elixir from the description of the surface and the names. A file is {path, header-free text, text of what it describes}.

  alias Py.Gen.{Doc, Places, Types}

  def files(surface, names) do
    entries = Places.entries(surface, names)
    Places.no_clash!(entries, &twin(&1, names))
    link = &Places.link(&1, &2, entries, names)

    modules =
      for {module, doc, _} <- names.modules do
        mine = Enum.filter(entries, &(&1.elixir == module))
        functions = Enum.map(mine, &function(&1, names, link, surface))
        delegates = for {^module, head, to} <- names.delegates, do: "defdelegate #{head}, to: #{inspect(to)}"
        {path(module), module(module, doc, functions ++ delegates), Enum.map_join(mine, "\n", &described/1)}
      end

    modules ++ [options(entries, names)]
  end

  defp function(entry, names, link, surface) do
    params = Enum.map(entry.last.params, &param/1)

    heads =
      Enum.map_join(Enum.zip(entry.last.params, params), ", ", fn {erlang, name} ->
        if Places.optional?(erlang), do: name <> " \\\\ []", else: name
      end)

    specs = Enum.zip([entry.last.params, params, entry.last.types])

    spec_args =
      Enum.map_join(specs, ", ", fn {erlang, name, type} -> "#{name} :: #{arg_type(erlang, entry, type, names)}" end)

    values = Enum.map_join(specs, ", ", fn {erlang, name, type} -> value(erlang, name, type, entry) end)
    {result, wrap} = result(entry, names)
    call = ":#{entry.erlang}.#{entry.from}(#{values})#{wrap}"

    variables = Enum.uniq(Types.variables(entry.last.types) ++ Types.variables(entry.last.result))
    given = if variables == [], do: "", else: " when " <> Enum.map_join(variables, ", ", &"#{&1}: var")

    plain = """
    @doc #{heredoc(doc(entry, link, surface))}
    @spec #{entry.name}(#{spec_args}) :: #{result}#{given}
    def #{entry.name}(#{heads}), do: #{call}
    """

    case twin(entry, names) do
      nil ->
        plain

      type ->
        again = "#{entry.name}(#{Enum.join(params, ", ")})"

        """
        #{plain}
        @doc "As `#{entry.name}/#{entry.arity}`, but gives the value itself, or raises `Py.Error`."
        @spec #{entry.name}!(#{spec_args}) :: #{type}#{given}
        def #{entry.name}!(#{heads}), do: Py.Result.value!(#{again})
        """
    end
  end

  defp param("Options"), do: "opts"

  defp param(name) do
    new = Macro.underscore(name)

    if Places.reserved?(new),
      do: Mix.raise("parameter #{name} is a reserved word of Elixir; rename it in the Erlang source"),
      else: new
  end

  defp arg_type("Options", entry, type, names) do
    home = Types.home(entry.erlang, type)

    cond do
      home && Types.options(elem(home, 0), type_of(home)) -> "Py.Options.#{option_name(home, names)}()"
      fields = Types.options(entry.erlang, type) -> keyword(fields)
      true -> "keyword() | map()"
    end
  end

  defp arg_type(_param, entry, type, _names), do: Types.text(entry.erlang, type)

  defp type_of({module, name}), do: Py.Gen.Surface.type(module, name)

  defp option_name({module, _}, names),
    do: names.options[module] || Mix.raise("options of #{module} have no name; add it to `options` in gen/names.exs")

  defp keyword(fields), do: "[" <> Enum.map_join(fields, " | ", fn {key, type} -> "{:#{key}, #{type}}" end) <> "]"

  defp value("Options", name, type, entry) do
    keys = for {key, _} <- Types.options(entry.erlang, type) || [], do: key
    defaults = for {key, default} <- [error: "error: :map", none: "none: nil"], key in keys, do: default
    "Py.Options.merge(#{name}, %{#{Enum.join(defaults, ", ")}})"
  end

  defp value(erlang, name, _type, _entry) when erlang in ~w(Args Kwargs Locals Calls),
    do: "Py.Encoder.Terms.encode(#{name})"

  defp value(_erlang, name, _type, _entry), do: name

  defp kind(entry, names),
    do: Enum.find_value(names.results, fn {key, kind} -> if key == {entry.erlang, entry.from}, do: kind end)

  defp alternatives(entry),
    do:
      entry.erlang
      |> Types.alternatives(entry.last.result, &Types.error?/1)
      |> Enum.split_with(fn {_, form} -> Types.error?(form) end)

  # The text of the result's type, and what makes it of Erlang's result.
  defp result(entry, names) do
    {errors, values} = alternatives(entry)

    if errors == [] or kind(entry, names) == :raw do
      {Types.text(entry.erlang, entry.last.result), ""}
    else
      types = Enum.map(values, fn {module, form} -> Types.text(module, form) end)

      wrap =
        case kind(entry, names) do
          nil -> " |> Py.Result.wrap()"
          :nested -> " |> Py.Result.nested()"
          :gathered -> " |> Py.Result.gathered(opts)"
        end

      {Enum.join(types ++ ["{:error, Py.Error.t()}"], " | "), wrap}
    end
  end

  # The type of the twin's result; nil where there is no twin: the result has no error, or several good forms.
  defp twin(entry, names) do
    case {kind(entry, names), alternatives(entry)} do
      {:raw, _} -> nil
      {_, {[_ | _], [{module, {:type, _, :tuple, [{:atom, _, :ok}, type]}}]}} -> Types.text(module, type)
      {_, {[_ | _], [{module, form}]}} -> Types.text(module, form)
      _ -> nil
    end
  end

  # The text of the shortest arity, and what those with more parameters add.
  defp doc(entry, link, surface) do
    [first | more] = entry.arities
    base = text!(first.doc, entry, surface)
    # Every string contains the empty one.
    added = more |> Enum.map(&addition(&1.doc)) |> Enum.uniq() |> Enum.reject(&says?(base, &1))
    variables = for one <- entry.arities, param <- one.params, into: %{}, do: {param, param(param)}

    atoms =
      for one <- entry.arities,
          atom <- Types.atoms([one.types, one.result]),
          into: %{},
          do: {to_string(atom), inspect(atom)}

    here = Atom.to_string(entry.erlang)

    Enum.map_join([base | added], "\n\n", fn text ->
      Doc.markdown(
        text,
        fn
          {"", name, arity} -> link.(entry.elixir, {here, name, arity})
          target -> link.(entry.elixir, target)
        end,
        Map.merge(atoms, variables)
      )
    end)
  end

  defp text!({:doc, text}, _entry, _surface), do: text

  defp text!({:equiv, text}, entry, surface) do
    {:ok, tokens, _} = :erl_scan.string(String.to_charlist(text <> "."))
    {:ok, [{:call, _, {:atom, _, name}, args}]} = :erl_parse.parse_exprs(tokens)

    case Enum.find(Places.found!(surface, entry.erlang, name).arities, &(&1.arity == length(args))) do
      # A call with more arguments than the function has: what it says is said there.
      %{doc: doc} -> text!(doc, entry, surface)
    end
  end

  defp text!(:none, entry, _surface), do: Mix.raise("#{entry.erlang}:#{entry.from} has no @doc")

  @usual ["with keyword arguments.", "with a timeout or options.", "with options.", "with local names."]

  defp addition({:equiv, _}), do: ""

  defp addition({:doc, text}) do
    case Regex.run(~r/\AAs \{@link [^}]+\}[,.]\s*((?:.|\n)*)\z/, text) do
      [_, rest] ->
        rest =
          Enum.find_value(@usual, rest, &if(String.starts_with?(rest, &1), do: String.replace_prefix(rest, &1, "")))

        rest |> String.trim() |> capitalize()

      nil ->
        text
    end
  end

  defp says?(text, addition), do: String.contains?(String.downcase(text), String.downcase(addition))

  defp capitalize(<<first::utf8, rest::binary>>), do: String.upcase(<<first::utf8>>) <> rest
  defp capitalize(""), do: ""

  defp heredoc(text), do: "~S\"\"\"\n" <> String.trim(text) <> "\n\"\"\""

  defp module(module, doc, parts) do
    """
    defmodule #{inspect(module)} do
    @moduledoc #{heredoc(doc)}

    #{Enum.join(parts, "\n")}
    end
    """
  end

  # The option types that the functions use, as keyword lists, and how options are handed on.
  defp options(entries, names) do
    homes =
      for entry <- entries,
          {"Options", type} <- Enum.zip(entry.last.params, entry.last.types),
          home = Types.home(entry.erlang, type),
          fields = Types.options(elem(home, 0), type_of(home)),
          uniq: true,
          do: {option_name(home, names), home, fields}

    types =
      for {name, {module, type}, fields} <- Enum.sort(homes) do
        doc = Doc.comments(source(module))[{:type, to_string(type)}] || ""
        doc = Enum.reduce(names.texts, doc, fn {old, new}, doc -> String.replace(doc, old, new) end)
        doc = Doc.markdown(doc, fn {_, name, arity} -> "#{name}/#{arity}" end, %{})
        "@typedoc #{heredoc(doc)}\n@type #{name} :: #{keyword(fields)}\n"
      end

    merge = """
    @doc false
    @spec merge(keyword() | map(), map()) :: map()
    def merge([], defaults), do: defaults
    def merge(opts, defaults) when is_list(opts) or is_map(opts), do: Map.merge(defaults, Map.new(opts))
    """

    {path(Py.Options), module(Py.Options, "The options of the functions, as keyword lists.", types ++ [merge]),
     inspect(homes, limit: :infinity)}
  end

  def source(module), do: Path.join([__DIR__, "../../erl/src", "#{module}.erl"])

  defp path(module), do: "lib/generated/" <> (module |> Macro.underscore() |> String.replace("/", "_")) <> ".ex"

  # What a function is, in one line.
  defp described(entry) do
    for one <- entry.arities do
      types = Enum.map_join(one.types, ", ", &Types.text(entry.erlang, &1))
      doc = inspect(one.doc, limit: :infinity, printable_limit: :infinity)

      "#{entry.erlang}:#{entry.from}(#{Enum.join(one.params, ", ")}) #{types} -> #{Types.text(entry.erlang, one.result)} #{doc}"
    end
    |> Enum.join("\n")
  end
end
