%% @doc What generated wrappers of Python modules call: see {@link py_gen}. Keyword arguments are checked here, before they cross.
-module(py_wrapper).

-export([call/6, stream/6, new/6, method/6, method_stream/6, value/3, member/3, get/3, set/4, as_map/2]).
-export([arguments/4, method_stream_start/4, value_options/2]).
-export_type([takes/0, kwargs/0, options/0]).

-type takes() :: [atom()] | any | #{
    names := [atom()],
    open => true,
    needed => [atom()],
    by_position => [atom()],
    only => [atom()],
    rest => [term()]
}.
%% The keyword arguments of a function. `by_position': those that go to Python by position, before `rest'; of these `only' cannot go otherwise.

-type kwargs() :: py:kwargs().
-type options() :: py:options().

-type place() :: {binary(), binary()} | binary().
%% Module and function, or a method.

%% @doc Value of a function, a method of a class, or an instance's class as a function.
-spec call(binary(), binary(), [term()], kwargs(), takes(), options()) -> py:result().
call(Module, Function, Args, Kwargs, Takes, Options) ->
    case arguments({Module, Function}, Args, Kwargs, Takes) of
        {error, _} = Error -> Error;
        {Given, Named} -> py:call(Module, Function, Given, Named, handles(Options))
    end.

%% @doc The items of a generator, in a list.
-spec stream(binary(), binary(), [term()], kwargs(), takes(), options()) -> {ok, [term()]} | {error, py:reason()}.
stream(Module, Function, Args, Kwargs, Takes, Options) ->
    case arguments({Module, Function}, Args, Kwargs, Takes) of
        {error, _} = Error -> Error;
        {Given, Named} -> py:stream(Module, Function, Given, Named, handles(Options))
    end.

%% @doc A handle of a new instance.
-spec new(binary(), binary(), [term()], kwargs(), takes(), options()) -> {ok, py:ref()} | {error, py:reason()}.
new(Module, Class, Args, Kwargs, Takes, Options) ->
    case arguments({Module, Class}, Args, Kwargs, Takes) of
        {error, _} = Error -> Error;
        {Given, Named} -> py:call(Module, Class, Given, Named, (handles(Options))#{return => ref})
    end.

%% @doc Value of a method of an object.
-spec method(py:ref(), binary(), [term()], kwargs(), takes(), options()) -> py:result().
method(Self, Method, Args, Kwargs, Takes, Options) ->
    case arguments(Method, Args, Kwargs, Takes) of
        {error, _} = Error -> Error;
        {Given, Named} -> py:call_method(Self, Method, Given, Named, handles(Options))
    end.

%% @doc The items of a method that is a generator, in a list.
-spec method_stream(py:ref(), binary(), [term()], kwargs(), takes(), options()) -> {ok, [term()]} | {error, py:reason()}.
method_stream(Self, Method, Args, Kwargs, Takes, Options) ->
    case arguments(Method, Args, Kwargs, Takes) of
        {error, _} = Error -> Error;
        {Given, Named} -> py:stream_eval(method_code(Method), method_locals(Self, Given, Named), handles(Options))
    end.

%% @private The same one by one, with arguments that have been checked; Elixir's lazy streams.
-spec method_stream_start(py:ref(), binary(), {[term()], kwargs()}, map()) -> {ok, reference()} | {error, py:reason()}.
method_stream_start(Self, Method, {Args, Kwargs}, Options) ->
    py:stream_eval_start(method_code(Method), method_locals(Self, Args, Kwargs), Options).

method_code(Method) -> <<"o.", Method/binary, "(*a, **k)">>.

method_locals(Self, Args, Kwargs) ->
    #{o => Self, a => Args, k => maps:from_list([{text(Key), Value} || {Key, Value} <- pairs(Kwargs)])}.

%% @doc Value of a name of a module.
-spec value(binary(), binary(), options()) -> py:result().
value(Module, Name, Options) ->
    value_options({Module, Name}, handles(Options)).

%% @private The same with options as they are.
-spec value_options({binary(), binary()}, map()) -> py:result().
value_options({Module, Name}, Options) ->
    py:eval(<<"__import__('importlib').import_module(m).", Name/binary>>, [{m, {str, Module}}], Options).

%% @doc A handle of a member of an enumeration.
-spec member(binary(), binary(), options()) -> {ok, py:ref()} | {error, py:reason()}.
member(Module, Name, Options) ->
    value_options({Module, Name}, (handles(Options))#{return => ref}).

%% @doc Value of an attribute of an object.
-spec get(py:ref(), binary(), options()) -> py:result().
get(Self, Name, Options) ->
    py:getattr(Self, Name, handles(Options)).

%% @doc Sets an attribute of an object.
-spec set(py:ref(), binary(), term(), options()) -> ok | {error, py:reason()}.
set(Self, Name, Value, Options) ->
    case py:is_ref(Self) of
        false ->
            {error, {badarg, ref}};
        true ->
            case py:call(builtins, setattr, [Self, {str, Name}, Value], [], handles(Options)) of
                {ok, _} -> ok;
                {error, _} = Error -> Error
            end
    end.

%% @doc The fields of a dataclass.
-spec as_map(py:ref(), options()) -> py:result().
as_map(Self, Options) ->
    py:call(dataclasses, asdict, [Self], [], handles(Options)).

%% What has no term comes as a handle: its methods are there to be called.
-spec handles(options()) -> map().
handles(Options) when map_size(Options) =:= 0 -> #{unknown => ref};
handles(#{unknown := _} = Options) -> Options;
handles(#{} = Options) -> Options#{unknown => ref};
handles(Options) when is_list(Options) -> handles(maps:from_list(Options));
handles(Timeout) -> #{unknown => ref, timeout => Timeout}.

%% @private The arguments as they go to Python, positional ones and keyword ones.
-spec arguments(place(), [term()], kwargs(), takes()) -> {[term()], kwargs()} | {error, {badarg, {keyword, binary(), binary()}}}.
arguments(_Place, Args, [], Takes) when not is_map(Takes) ->
    {Args, []};
arguments(_Place, Args, Kwargs, any) ->
    {Args, Kwargs};
arguments(Place, Args, Kwargs, Takes) when is_list(Takes) ->
    case unknown(Kwargs, Takes) of
        none -> {Args, Kwargs};
        {unknown, Key} -> refused(Place, Key, Takes)
    end;
arguments(Place, Args, Kwargs, #{names := Names} = Takes) when is_map(Kwargs); length(Kwargs) >= 0 ->
    Pairs = pairs(Kwargs),
    Missing = [Name || Name <- maps:get(needed, Takes, []), not given(Name, Pairs)],
    case {unknown(Pairs, Names), Missing} of
        {{unknown, Key}, _} when not is_map_key(open, Takes) -> refused(Place, Key, Names);
        {_, [Name | _]} -> missing(Place, Name);
        {_, []} -> positional(Place, Args, Pairs, Takes)
    end;
arguments(_Place, Args, Kwargs, _Takes) ->
    % The call refuses it.
    {Args, Kwargs}.

%% Arguments that go by position do so as far as there is no gap; where one cannot go otherwise, a gap is an error.
-spec positional(place(), [term()], [{term(), term()}], takes()) -> {[term()], kwargs()} | {error, term()}.
positional(Place, Args, Pairs, Takes) ->
    Rest = maps:get(rest, Takes, []),
    Only = maps:get(only, Takes, []),
    Names = case Rest of [] -> Only; _ -> maps:get(by_position, Takes, []) end,
    {Run, After} = lists:splitwith(fun(Name) -> given(Name, Pairs) end, Names),
    Late = [Name || Name <- After, given(Name, Pairs), lists:member(Name, Only)],
    case {Late, After} of
        {[], _} when Rest =:= []; After =:= [] ->
            Values = [value_of(Name, Pairs) || Name <- Run],
            {Args ++ Values ++ Rest, lists:filter(fun(Pair) -> not lists:any(fun(Name) -> given(Name, [Pair]) end, Run) end, Pairs)};
        {[Name | _], [Before | _]} ->
            bad(text(Name), [spoken(Place), ": ", text(Name), " goes to Python by position, and needs ", text(Before), " before it"]);
        {[], [Before | _]} ->
            bad(text(Before), [spoken(Place), ": positional arguments after ", text(Before), " need ", text(Before)])
    end.

%% An atom stands for itself and true, as in any property list.
pairs(Kwargs) when is_map(Kwargs) -> maps:to_list(Kwargs);
pairs(Kwargs) -> [if is_atom(Pair) -> {Pair, true}; true -> Pair end || Pair <- Kwargs].

given(Name, Pairs) -> lists:any(fun({Key, _}) -> same(Key, Name); (_) -> false end, Pairs).

value_of(Name, Pairs) -> hd([Value || {Key, Value} <- Pairs, same(Key, Name)]).

same(Name, Name) -> true;
same(Key, _) when is_atom(Key) -> false;
same(Key, Name) -> text(Key) =:= text(Name).

%% The first key that is not among the names. What is no key at all is left to the call, which refuses it.
-spec unknown(term(), [atom()]) -> none | {unknown, term()}.
unknown([{Key, _} | Rest], Names) ->
    case is_atom(Key) andalso lists:member(Key, Names) of
        true ->
            unknown(Rest, Names);
        false ->
            case lists:any(fun(Name) -> same(Key, Name) end, Names) of
                true -> unknown(Rest, Names);
                false -> {unknown, Key}
            end
    end;
unknown([Key | Rest], Names) when is_atom(Key) ->
    unknown([{Key, true} | Rest], Names);
unknown(Kwargs, Names) when is_map(Kwargs) ->
    unknown(maps:to_list(Kwargs), Names);
unknown(_, _) ->
    none.

refused(Place, Key, Names) ->
    Name = text(Key),
    bad(Name, [spoken(Place), " has no keyword argument ", Name, hint(Name, [text(One) || One <- Names])]).

missing(Place, Name) ->
    bad(text(Name), [spoken(Place), " needs keyword argument ", text(Name)]).

bad(Name, Text) ->
    {error, {badarg, {keyword, Name, unicode:characters_to_binary(Text)}}}.

hint(_Name, []) ->
    ", nor any other";
hint(Name, Names) ->
    {Distance, Likely} = lists:min([{distance(string:to_graphemes(Name), string:to_graphemes(One)), One} || One <- Names]),
    case Distance =< 1 + string:length(Name) div 4 of
        true -> ["; did you mean ", Likely, "?"];
        false -> ["; it has ", lists:join(", ", Names)]
    end.

%% Insertions, deletions and replacements that make one of the other.
-spec distance(list(), list()) -> non_neg_integer().
distance(From, To) ->
    lists:last(lists:foldl(fun(Char, [Corner | _] = Row) -> row(Char, To, Row, [Corner + 1]) end, lists:seq(0, length(To)), From)).

row(Char, [Char | To], [Corner | Row], [Left | _] = New) -> row(Char, To, Row, [min(Corner, 1 + min(Left, hd(Row))) | New]);
row(Char, [_ | To], [Corner | Row], [Left | _] = New) -> row(Char, To, Row, [1 + min(Corner, min(Left, hd(Row))) | New]);
row(_Char, [], _Row, New) -> lists:reverse(New).

spoken({Module, Function}) -> [Module, ".", Function];
spoken(Method) -> Method.

-spec text(term()) -> binary().
text(Key) when is_atom(Key) -> atom_to_binary(Key);
text(Key) when is_binary(Key) -> Key;
text(Key) ->
    case catch unicode:characters_to_binary(Key) of
        Text when is_binary(Text) -> Text;
        _ -> unicode:characters_to_binary(io_lib:format("~0tp", [Key]))
    end.
