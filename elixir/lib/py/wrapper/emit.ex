defmodule Py.Wrapper.Emit do
  @moduledoc false
  # Elixir source of a wrapper (erl/src/py_gen_plan.erl).

  alias Py.Wrapper.Types

  @reserved ~w(after and catch do else end false fn in nil not or rescue true when) ++
              ~w(__CALLER__ __DIR__ __ENV__ __MODULE__ __STACKTRACE__ alias case cond for import quote receive require super
                 try unquote unquote_splicing with module_info behaviour_info)

  # What no function can be called; words of the language and its special forms.
  def reserved, do: @reserved

  @doc "The name of the module for a Python path."
  def module_name(prefix, path), do: Enum.join([prefix | path |> String.split(".") |> Enum.map(&camel/1)], ".")

  defp camel(part) do
    part = String.trim_leading(part, "_")
    if part =~ ~r/\A[A-Z]/, do: part, else: Macro.camelize(part)
  end

  @doc "The types of the classes of these wrappers by their paths in Python."
  def known(wrappers) do
    for wrapper <- wrappers, {path, name} <- own(wrapper), into: %{}, do: {path, name}
  end

  defp own(%{name: name, class: class, types: types}) do
    handle = if class == :none, do: [], else: [{class["path"], name <> ".t()"}]
    handle ++ for type <- types, do: {type["path"], {:term, "#{name}.#{type_name(type)}()"}}
  end

  defp type_name(%{"name" => name}) do
    type = name |> String.split(".") |> List.last() |> Macro.underscore()
    if type in ~w(t value opts), do: type <> "_dict", else: type
  end

  @doc "The text of a module, to be formatted."
  def source(%{name: name, class: class, items: items} = wrapper, known, docs?) do
    functions = Enum.map(items, &function(&1, wrapper, known, docs?))
    opts = if Enum.any?(functions, &(&1 =~ "opts())")), do: ["@type opts :: Py.Options.call()\n"], else: []
    types = opts ++ class_types(class, known) ++ Enum.map(wrapper.types, &dict_type(&1, known))
    body = Enum.join(types ++ functions, "\n")
    aliases = for alias <- ~w(Result Wrapper), body =~ ~r/(?<![.\w])#{alias}\./, do: alias
    doc = moduledoc(wrapper, docs?)
    # The functions may be called as those of Kernel are.
    used = for {true, import} <- [{items != [], "def: 2"}, {doc <> body =~ "~S\"\"\"", "sigil_S: 2"}], do: import

    """
    defmodule #{name} do
    import Kernel, only: [#{Enum.join(["@: 1" | used], ", ")}]
    #{aliases(aliases)}
    @moduledoc #{doc}

    #{body}
    end
    """
  end

  defp aliases([]), do: ""
  defp aliases([one]), do: "alias Py.#{one}\n"
  defp aliases(several), do: "alias Py.{#{Enum.join(several, ", ")}}\n"

  defp moduledoc(%{class: class, module: module, path: path} = wrapper, docs?) do
    what =
      if class == :none,
        do: "Python module `#{module}`.",
        else: "Python class `#{path}`" <> shape(class) <> "."

    exceptions = for one <- wrapper.exceptions, do: "  * `#{one["name"]}`" <> summary(one["doc"])

    raised =
      if exceptions == [], do: "", else: "Exceptions, the `type` of a `Py.Error`:\n\n" <> Enum.join(exceptions, "\n")

    parts = if docs?, do: [what, wrapper.doc, raised, "Source: `#{wrapper.source}`"], else: [what]
    heredoc(parts |> Enum.reject(&(&1 == "")) |> Enum.join("\n\n"))
  end

  defp shape(%{"shape" => "enum"}), do: ", an enumeration: each member is a function that gives its handle"
  defp shape(_), do: ": `new` gives a handle, which the other functions take"

  defp summary(""), do: ""
  defp summary(doc), do: ": " <> hd(String.split(doc, "\n"))

  defp class_types(:none, _known), do: []

  defp class_types(class, known) do
    value =
      case class["type"] do
        [crossing] -> "\n@typedoc \"What it is as a term.\"\n@type value :: #{Types.text(crossing, :from, known)}\n"
        [] -> ""
      end

    ["@type t :: :py.ref()\n" <> value]
  end

  defp dict_type(%{"fields" => fields} = type, known) do
    keys =
      Enum.map_join(fields, ", ", fn field ->
        "`#{field["name"]}`" <> if(field["required"], do: "", else: " (optional)")
      end)

    values = Types.text(["union", Enum.map(fields, & &1["type"])], :to, known)

    """
    @typedoc "Dict with the keys #{keys}."
    @type #{type_name(type)} :: %{optional(String.t() | atom()) => #{values}}
    """
  end

  defp function(item, wrapper, known, docs?) do
    {required, names} = variables(item)
    kwargs = if item.needed == [], do: "kw \\\\ []", else: "kw"
    head = names ++ if(item.keywords, do: [kwargs], else: []) ++ ["opts \\\\ []"]
    {kwargs_type, typedef} = kwargs_type(item, known)
    opts_type = if item.op in [:stream, :method_stream], do: "Py.Options.stream()", else: "opts()"

    types =
      self_type(item, wrapper) ++
        Enum.map(item.required, &Types.text(&1.type, :to, known)) ++
        if(item.star == :none, do: [], else: [star_type(item.star.type, known)]) ++
        if(item.keywords, do: [kwargs_type], else: []) ++ [opts_type]

    spec = Enum.join(types, ", ")
    doc = if docs?, do: doc(item), else: ""
    call = call(item, wrapper, required, names)
    heads = Enum.join(head, ", ")
    value = Types.text(item.returns, :from, known)

    case item.op do
      op when op in [:stream, :method_stream] ->
        "#{typedef}#{doc}@spec #{item.name}!(#{spec}) :: Enumerable.t()\ndef #{item.name}!(#{heads}), do: #{call}\n"

      op ->
        {result, value} = result(op, value, item, wrapper)
        plain = names ++ if(item.keywords, do: ["kw"], else: []) ++ ["opts"]
        twin = "#{item.name}(#{Enum.join(plain, ", ")})"

        """
        #{typedef}#{doc}@spec #{item.name}(#{spec}) :: #{result}
        def #{item.name}(#{heads}), do: #{call}

        @spec #{item.name}!(#{spec}) :: #{value}
        def #{item.name}!(#{heads}), do: Result.value!(#{twin})
        """
    end
  end

  defp result(:set, _, _, _), do: {":ok | {:error, Py.Error.t()}", ":ok"}
  defp result(op, _, _, %{class: %{}}) when op in [:new, :member], do: {"Result.t(t())", "t()"}
  defp result(_, "term()", _, _), do: {"Result.t()", "term()"}
  defp result(_, value, _, _), do: {"Result.t(#{value})", value}

  defp self_type(%{op: op}, _) when op in [:method, :method_stream, :get, :set, :as_map], do: ["t()"]
  defp self_type(_, _), do: []

  defp star_type(type, known), do: Types.text(["list", type], :from, known) |> String.replace("[term()]", "list()")

  # The type of the keyword arguments, and its definition if it has a name.
  defp kwargs_type(%{open: true}, _), do: {"keyword()", ""}
  defp kwargs_type(%{optional: []}, _), do: {"[]", ""}

  defp kwargs_type(%{optional: optional, name: name}, known) do
    # Where most may be anything, types say nothing.
    if 2 * Enum.count(optional, &(&1.type == ["any"])) > length(optional) do
      {"keyword()", ""}
    else
      keys =
        Enum.map_join(optional, " | ", &"{#{inspect(String.to_atom(&1.name))}, #{Types.text(&1.type, :to, known)}}")

      {"#{name}_kwargs()", "@type #{name}_kwargs :: [#{keys}]\n\n"}
    end
  end

  # The variables of the required arguments, and those of the head before keyword arguments and options.
  defp variables(item) do
    self = if item.op in [:method, :method_stream, :get, :set, :as_map], do: ["self"], else: []
    star = if item.star == :none, do: [], else: [item.star]

    {names, _} =
      Enum.map_reduce(item.required ++ star, ["self", "kw", "opts"], fn param, taken ->
        name = variable(param.name, taken)
        {name, [name | taken]}
      end)

    {Enum.take(names, length(item.required)), self ++ names}
  end

  defp variable(name, taken) do
    name = name |> String.trim_leading("_") |> Macro.underscore()
    name = if name =~ ~r/\A[[:alpha:]]/u, do: name, else: "arg" <> name
    if name in taken or name in @reserved, do: variable(name <> "_", taken), else: name
  end

  defp call(item, wrapper, required, names) do
    named = if item.keywords, do: "kw, #{takes(item, names)}", else: "[], []"
    rest = if item.star == :none or item.by_position != [], do: "", else: List.last(names)

    list =
      cond do
        rest == "" -> "[#{Enum.join(required, ", ")}]"
        required == [] -> rest
        true -> "[#{Enum.join(required, ", ")} | #{rest}]"
      end

    place = "#{inspect(wrapper.module)}, #{inspect(item.python)}"
    name = inspect(item.python)

    case item.op do
      op when op in [:call, :new] -> "Wrapper.#{op}(#{place}, #{list}, #{named}, opts)"
      :stream -> "Wrapper.stream!(#{place}, #{list}, #{named}, opts)"
      :method -> "Wrapper.method(self, #{name}, #{list}, #{named}, opts)"
      :method_stream -> "Wrapper.method_stream!(self, #{name}, #{list}, #{named}, opts)"
      op when op in [:value, :member] -> "Wrapper.#{op}(#{place}, opts)"
      :get -> "Wrapper.get(self, #{name}, opts)"
      :set -> "Wrapper.set(self, #{name}, #{hd(required)}, opts)"
      :as_map -> "Wrapper.as_map(self, opts)"
    end
  end

  defp takes(%{open: true, needed: [], by_position: []}, _), do: ":any"
  defp takes(%{needed: [], by_position: [], optional: optional}, _), do: atoms(Enum.map(optional, & &1.name))

  defp takes(item, names) do
    parts =
      [{"names", atoms(Enum.map(item.optional, & &1.name))}] ++
        if(item.open, do: [{"open", "true"}], else: []) ++
        for(
          {key, [_ | _] = list} <- [needed: item.needed, by_position: item.by_position, only: item.only],
          do: {key, atoms(list)}
        ) ++
        if(item.star == :none or item.by_position == [], do: [], else: [{"rest", List.last(names)}])

    "%{" <> Enum.map_join(parts, ", ", fn {key, value} -> "#{key}: #{value}" end) <> "}"
  end

  defp atoms(names), do: "[" <> Enum.map_join(names, ", ", &inspect(String.to_atom(&1))) <> "]"

  defp doc(%{signature: signature, overloads: overloads, doc: doc, source: source}) do
    shown = for line <- [signature | overloads], line != "", uniq: true, do: "    " <> line
    link = if source == "", do: [], else: ["Source: `#{source}`"]

    case Enum.reject([Enum.join(shown, "\n"), doc | link], &(&1 == "")) do
      [] -> ""
      parts -> "@doc " <> heredoc(Enum.join(parts, "\n\n")) <> "\n"
    end
  end

  # As it is; what a heredoc without escapes cannot hold is escaped.
  defp heredoc(text) do
    if text =~ ~r/"""|[\x{0}-\x{8}\x{b}-\x{1f}\x{7f}-\x{9f}\x{2028}\x{2029}\x{202a}-\x{202e}\x{2066}-\x{2069}]/u do
      escaped =
        text
        |> String.split("\n")
        |> Enum.map_join("\n", fn line -> line |> inspect(printable_limit: :infinity) |> String.slice(1..-2) end)

      "\"\"\"\n" <> escaped <> "\n\"\"\""
    else
      "~S\"\"\"\n" <> text <> "\n\"\"\""
    end
  end
end
