%% @doc Erlang source of a wrapper: see {@link py_gen}.
-module(py_gen_erlang).

-export([language/1, file_language/0, source/3]).

-define(WIDTH, 120).

-define(RESERVED, [
    <<"after">>, <<"and">>, <<"andalso">>, <<"band">>, <<"begin">>, <<"bnot">>, <<"bor">>, <<"bsl">>, <<"bsr">>, <<"bxor">>, <<"case">>, <<"catch">>, <<"cond">>,
    <<"div">>, <<"else">>, <<"end">>, <<"fun">>, <<"if">>, <<"let">>, <<"maybe">>, <<"not">>, <<"of">>, <<"or">>, <<"orelse">>, <<"receive">>, <<"rem">>, <<"try">>,
    <<"when">>, <<"xor">>, <<"module_info">>, <<"behaviour_info">>
]).

%% @doc The names of Erlang: the prefix and the path in small letters.
-spec language(binary()) -> py_gen_plan:language().
language(Prefix) ->
    #{reserved => ?RESERVED, module => fun(Path) -> module_name(Prefix, Path) end}.

module_name(Prefix, Path) ->
    Parts = [py_gen_plan:underscore(string:trim(Part, leading, "_")) || Part <- binary:split(Path, <<".">>, [global])],
    unicode:characters_to_binary(lists:join("_", [Prefix | Parts])).

%% @doc What headers and differences look like.
-spec file_language() -> py_gen_file:language().
file_language() ->
    #{comment => <<"%%">>, tool => <<"py_gen">>, drift => fun py_gen_drift:lines/2}.

%% @doc The text of a module; `All' are the wrappers whose types it may name.
-spec source(py_gen_plan:wrapper(), [py_gen_plan:wrapper()], boolean()) -> binary().
source(#{name := Name, class := Class, items := Items, types := Types} = Wrapper, All, Docs) ->
    Known = known(All),
    Functions = [function(Item, Wrapper, Known, Docs) || Item <- Items],
    TypeTexts = [dict_type(Type, Known) || Type <- Types] ++ class_types(Class, Known) ++ [Text || #{types := Text} <- Functions, Text =/= none],
    unicode:characters_to_binary([
        module_doc(Wrapper, Docs),
        ["-module(", Name, ").\n\n"],
        % Functions may be called as those that Erlang imports are.
        "-compile(no_auto_import).\n",
        [["-export([", lists:join(", ", Exports), "]).\n"] || #{exports := Exports} <- Functions],
        [wrapped("-export_type([", [[TypeName, "/0"] || {TypeName, _} <- TypeTexts], "]).\n") || TypeTexts =/= []],
        [["\n", Text] || {_, Text} <- TypeTexts],
        [["\n", Text] || #{text := Text} <- Functions]
    ]).

known(All) ->
    maps:from_list(
        [{maps:get(<<"path">>, Class), [Name, ":t()"]} || #{name := Name, class := Class} <- All, Class =/= none] ++
            [{maps:get(<<"path">>, Type), {term, [Name, ":", type_name(Type), "()"]}} || #{name := Name, types := Types} <- All, Type <- Types]
    ).

%% Of the others, two names are taken.
type_name(#{<<"name">> := Name}) ->
    case py_gen_plan:underscore(lists:last(binary:split(Name, <<".">>, [global]))) of
        Taken when Taken =:= <<"t">>; Taken =:= <<"value">> -> <<Taken/binary, "_dict">>;
        Free -> Free
    end.

module_doc(#{module := Module, path := Path, class := Class, doc := Doc, source := Source, exceptions := Exceptions}, Docs) ->
    What =
        case Class of
            none -> ["Python module `", Module, "'."];
            #{<<"shape">> := <<"enum">>} -> ["Python class `", Path, "', an enumeration: each member is a function that gives its handle."];
            _ -> ["Python class `", Path, "': `new' gives a handle, which the other functions take."]
        end,
    Raised = case [maps:get(<<"name">>, One) || One <- Exceptions] of [] -> <<>>; Names -> ["Exceptions: ", lists:join(", ", Names), "."] end,
    Verbatim = case {Docs, Doc} of {false, _} -> []; {_, <<>>} -> []; _ -> ["\n", pre(Doc)] end,
    comment(["@doc ", What, Verbatim, [["\n", Raised] || Docs, Raised =/= <<>>], [["\n\nSource: `", Source, "'"] || Docs]]).

%% As EDoc shows it as it is.
pre(Text) -> ["<pre>\n", escaped(Text), "\n</pre>"].

escaped(Text) ->
    lists:foldl(
        fun({From, To}, Done) -> re:replace(Done, From, To, [global, unicode, {return, binary}, multiline]) end,
        unicode:characters_to_binary(Text),
        [{"&", "\\&amp;"}, {"<", "\\&lt;"}, {">", "\\&gt;"}, {"^(\\s*)@", "\\1\\&#64;"}, {"\\{@", "{\\&#64;"}, {"`", "\\&#96;"}, {"[\\x{0}-\\x{8}\\x{b}-\\x{1f}]", " "}]
    ).

comment(Text) ->
    [[case Line of <<>> -> "%%"; _ -> ["%% ", Line] end, "\n"] || Line <- binary:split(unicode:characters_to_binary(Text), <<"\n">>, [global])].

class_types(none, _) -> [];
class_types(#{<<"type">> := [Crossing]}, Known) -> [{<<"t">>, "-type t() :: py:ref().\n"}, {<<"value">>, ["-type value() :: ", py_gen_erlang_types:text(Crossing, from, Known), ".\n"]}];
class_types(_, _) -> [{<<"t">>, "-type t() :: py:ref().\n"}].

dict_type(#{<<"fields">> := Fields} = Type, Known) ->
    Keys = [[Name, case Required of true -> []; false -> " (optional)" end] || #{<<"name">> := Name, <<"required">> := Required} <- Fields],
    Values = py_gen_erlang_types:text([<<"union">>, [Value || #{<<"type">> := Value} <- Fields]], to, Known),
    Name = type_name(Type),
    {Name, ["-type ", Name, "() :: #{binary() | atom() => ", Values, "}.\n", comment(["Dict with the keys ", lists:join(", ", Keys), "."])]}.

%% Exports, the text with two arities, and the type of the keyword arguments if it has a name.
function(#{op := Op, name := Name, required := Required, star := Star, keywords := TakesKwargs} = Item, Wrapper, Known, Docs) ->
    Self = [<<"Self">> || lists:member(Op, [method, method_stream, get, set, as_map])],
    Named = Required ++ [Star || Star =/= none],
    Variables = variables([Param || #{name := Param} <- Named]),
    Given = lists:sublist(Variables, length(Required)),
    {KwargsType, TypeText} = kwargs_type(Item, Known),
    Types = [<<"t()">> || _ <- Self] ++ [py_gen_erlang_types:text(Type, to, Known) || #{type := Type} <- Required] ++
        [["[", py_gen_erlang_types:text(Type, to, Known), "]"] || #{type := Type} <- [Star || Star =/= none]],
    Short = Self ++ Variables,
    Long = Short ++ [<<"Kwargs">> || TakesKwargs] ++ [<<"Options">>],
    LongTypes = Types ++ [KwargsType || TakesKwargs] ++ [<<"py:options()">>],
    Result = result(Item, Wrapper, Known),
    Function = quoted(Name),
    HasShort = maps:get(needed, Item) =:= [],
    Body = ["    ", call(Item, Wrapper, Given, Variables), ".\n"],
    Defaults = lists:join(", ", Short ++ [<<"[]">> || TakesKwargs] ++ [<<"#{}">>]),
    #{
        exports => [[Function, "/", integer_to_list(length(Short))] || HasShort] ++ [[Function, "/", integer_to_list(length(Long))]],
        types => TypeText,
        text => [
            doc(Item, Docs),
            [[spec(Function, Types, Result), head(Function, Short), ["    ", Function, "(", Defaults, ").\n\n"]] || HasShort],
            spec(Function, LongTypes, Result), head(Function, Long), Body
        ]
    }.

spec(Function, Types, Result) -> wrapped(["-spec ", Function, "("], Types, [") -> ", Result, ".\n"]).

head(Function, Variables) -> wrapped([Function, "("], Variables, ") ->\n").

%% A list in one line, or in as many as it takes.
wrapped(Begin, Items, End) ->
    Flat = [Begin, lists:join(", ", Items), End],
    case string:length(Flat) =< ?WIDTH of
        true -> Flat;
        false -> [Begin, "\n    ", lists:join(",\n    ", Items), "\n", End]
    end.

result(#{op := Op, returns := Returns}, #{class := Class}, Known) ->
    case Op of
        set -> "ok | {error, py:reason()}";
        _ when Op =:= stream; Op =:= method_stream -> "{ok, [term()]} | {error, py:reason()}";
        _ when (Op =:= new orelse Op =:= member), Class =/= none -> "{ok, t()} | {error, py:reason()}";
        _ ->
            case py_gen_erlang_types:text(Returns, from, Known) of
                <<"term()">> -> "py:result()";
                Text -> ["{ok, ", Text, "} | {error, py:reason()}"]
            end
    end.

kwargs_type(#{open := true}, _) -> {<<"py:kwargs()">>, none};
kwargs_type(#{optional := []}, _) -> {<<"[]">>, none};
kwargs_type(#{optional := Optional, name := Name}, Known) ->
    % Where most may be anything, types say nothing.
    case 2 * length([Type || #{type := [<<"any">>] = Type} <- Optional]) > length(Optional) of
        true ->
            {<<"py:kwargs()">>, none};
        false ->
            Keys = [["{", quoted(Key), ", ", py_gen_erlang_types:text(Type, to, Known), "}"] || #{name := Key, type := Type} <- Optional],
            TypeName = <<Name/binary, "_kwargs">>,
            {[quoted(TypeName), "()"], {quoted(TypeName), ["-type ", quoted(TypeName), "() :: [\n    ", lists:join("\n    | ", Keys), "\n].\n"]}}
    end.

%% Parameters as variables, each another.
variables(Names) ->
    {Variables, _} = lists:mapfoldl(
        fun(Name, Taken) ->
            Variable = variable(Name, Taken),
            {Variable, [Variable | Taken]}
        end,
        [<<"Self">>, <<"Kwargs">>, <<"Options">>],
        Names
    ),
    Variables.

variable(Name, Taken) ->
    Parts = binary:split(Name, <<"_">>, [global, trim_all]),
    Camel = unicode:characters_to_binary([string:titlecase(Part) || Part <- Parts]),
    Variable = case re:run(Camel, "^[A-Z][A-Za-z0-9_]*$", [{capture, none}]) of match -> Camel; nomatch -> <<"Arg", (plain(Camel))/binary>> end,
    free(Variable, Taken).

plain(Text) -> re:replace(Text, "[^A-Za-z0-9]", "_", [global, unicode, {return, binary}]).

free(Variable, Taken) ->
    case lists:member(Variable, Taken) of
        true -> free(<<Variable/binary, "_">>, Taken);
        false -> Variable
    end.

call(#{op := Op, python := Python, star := Star, by_position := ByPosition, keywords := Keywords} = Item, #{module := Module}, Given, Variables) ->
    Rest = case Star =:= none orelse ByPosition =/= [] of true -> none; false -> lists:last(Variables) end,
    Args = ["[", lists:join(", ", Given), [[" | ", Rest] || Rest =/= none, Given =/= []], "]"],
    List = case {Rest, Given} of {none, _} -> Args; {_, []} -> Rest; _ -> Args end,
    Place = [binary_text(Module), ", ", binary_text(Python)],
    Named = case Keywords of true -> [", Kwargs, ", takes(Item, Variables)]; false -> ", [], []" end,
    Tail = [List, Named, ", Options)"],
    case Op of
        _ when Op =:= call; Op =:= stream; Op =:= new -> ["py_wrapper:", atom_to_binary(Op), "(", Place, ", ", Tail];
        _ when Op =:= method; Op =:= method_stream -> ["py_wrapper:", atom_to_binary(Op), "(Self, ", binary_text(Python), ", ", Tail];
        _ when Op =:= value; Op =:= member -> ["py_wrapper:", atom_to_binary(Op), "(", Place, ", Options)"];
        get -> ["py_wrapper:get(Self, ", binary_text(Python), ", Options)"];
        set -> ["py_wrapper:set(Self, ", binary_text(Python), ", ", hd(Given), ", Options)"];
        as_map -> "py_wrapper:as_map(Self, Options)"
    end.

binary_text(Text) -> io_lib:format("~tp", [Text]).

takes(#{open := true, needed := [], by_position := []}, _) -> "any";
takes(#{needed := [], by_position := [], optional := Optional}, _) -> atoms([Name || #{name := Name} <- Optional]);
takes(#{open := Open, needed := Needed, by_position := ByPosition, only := Only, star := Star, optional := Optional}, Variables) ->
    Parts =
        [["names => ", atoms([Name || #{name := Name} <- Optional])]] ++ ["open => true" || Open] ++
            [[Key, " => ", atoms(Names)] || {Key, [_ | _] = Names} <- [{"needed", Needed}, {"by_position", ByPosition}, {"only", Only}]] ++
            [["rest => ", lists:last(Variables)] || Star =/= none, ByPosition =/= []],
    ["#{", lists:join(", ", Parts), "}"].

atoms(Names) -> ["[", lists:join(", ", [quoted(Name) || Name <- Names]), "]"].

%% As Erlang writes an atom.
quoted(Name) ->
    Plain = re:run(Name, "^[a-z][A-Za-z0-9_]*$", [{capture, none}]) =:= match,
    case Plain andalso not lists:member(Name, ?RESERVED) of
        true -> Name;
        false -> <<"'", Name/binary, "'">>
    end.

doc(_Item, false) ->
    [];
doc(#{signature := Signature, overloads := Overloads, doc := Doc, source := Source}, true) ->
    Shown = lists:join("\n", lists:uniq([Line || Line <- [Signature | Overloads], Line =/= <<>>])),
    Parts = [Shown || Shown =/= []] ++ [Doc || Doc =/= <<>>],
    Link = [["\nSource: `", Source, "'"] || Source =/= <<>>],
    case {Parts, Link} of
        {[], []} -> [];
        {[], _} -> comment(["@doc ", tl(lists:flatten(Link))]);
        _ -> comment(["@doc ", pre(lists:join("\n\n", Parts)), Link])
    end.
