%% @doc Neutral types as text of Erlang: see {@link py_gen_plan}. What goes to Python may be more than what comes from it: a handle can stand
%% for anything that is no plain value.
-module(py_gen_erlang_types).

-export([text/3]).

-type known() :: #{binary() => iodata() | {term, iodata()}}.
%% The types of classes by their paths.

-define(REF, "py:ref()").

%% @doc The type of what goes to Python or comes from it.
-spec text(py_gen_plan:type(), to | from, known()) -> binary().
text(Type, Direction, Known) ->
    Parts = [unicode:characters_to_binary(Part) || Part <- parts(Type, Direction, Known)],
    case lists:member(<<"term()">>, Parts) of
        true -> <<"term()">>;
        false -> unicode:characters_to_binary(lists:join(" | ", lists:uniq(Parts)))
    end.

-spec parts(py_gen_plan:type(), to | from, known()) -> [iodata()].
parts([<<"none">>], _, _) -> ["none"];
parts([<<"bool">>], _, _) -> ["boolean()"];
parts([<<"int">>], _, _) -> ["integer()"];
parts([<<"float">>], to, _) -> ["number()"];
parts([<<"float">>], from, _) -> ["float()", "nan", "infinity", "neg_infinity"];
parts([<<"str">>], to, _) -> ["binary()", "{str, unicode:chardata()}"];
parts([<<"str">>], from, _) -> ["binary()"];
parts([<<"bytes">>], to, _) -> ["binary()", "{bytes, binary()}"];
parts([<<"bytes">>], from, _) -> ["binary()"];
parts([<<"ref">>], _, _) -> [?REF];
parts([<<"callable">>], _, _) -> [?REF];
parts([<<"iter">>, _], _, _) -> [?REF];
parts([<<"iterable">>, _], from, _) -> ["term()"];
parts([Kind, Item], Direction, Known) when Kind =:= <<"list">>; Kind =:= <<"set">>; Kind =:= <<"iterable">> ->
    [["[", text(Item, Direction, Known), "]"] | or_ref(Direction)];
parts([<<"variadic">>, _], Direction, _) -> ["tuple()" | or_ref(Direction)];
parts([<<"tuple">>, Items], Direction, Known) ->
    [["{", lists:join(", ", [text(Item, Direction, Known) || Item <- Items]), "}"] | or_ref(Direction)];
parts([<<"dict">>, Key, Value], Direction, Known) ->
    KeyText = case {Key, Direction} of {[<<"str">>], to} -> <<"binary() | atom()">>; _ -> text(Key, Direction, Known) end,
    [["#{", KeyText, " => ", text(Value, Direction, Known), "}"] | or_ref(Direction)];
parts([<<"union">>, Types], Direction, Known) ->
    lists:append([parts(Type, Direction, Known) || Type <- Types]);
parts([<<"literal">>, Values], Direction, _) ->
    lists:append([literal(Value, Direction) || Value <- Values]);
parts([<<"class">>, Path], _, Known) ->
    [maps:get(Path, Known, ?REF)];
parts([<<"class">>, Path, Crossing], Direction, Known) ->
    case {Known, Direction} of
        {#{Path := {term, Name}}, to} -> [Name, ?REF];
        {#{Path := {term, Name}}, from} -> [Name];
        {_, to} -> [maps:get(Path, Known, ?REF) | parts(Crossing, to, Known)];
        {_, from} -> parts(Crossing, from, Known)
    end;
parts(_, _, _) ->
    ["term()"].

or_ref(to) -> [?REF];
or_ref(from) -> [].

%% Atoms go to Python as strings, but for those that are values there.
-spec literal([term()], to | from) -> [iodata()].
literal([<<"str">>, Text], to) ->
    Word = re:run(Text, "^[a-z][A-Za-z0-9_]*$", [{capture, none}]) =:= match,
    ["binary()" | [io_lib:format("~tp", [binary_to_atom(Text)]) || Word, not lists:member(Text, [<<"true">>, <<"false">>, <<"none">>, <<"nil">>, <<"undefined">>])]];
literal([<<"str">>, _], from) -> ["binary()"];
literal([<<"bytes">>, _], Direction) -> parts([<<"bytes">>], Direction, #{});
literal([<<"none">>], _) -> ["none"];
literal([_, Value], _) when is_integer(Value); is_boolean(Value) -> [io_lib:format("~p", [Value])];
literal(_, _) -> ["term()"].
