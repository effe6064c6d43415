%% @doc How one generated Erlang module differs from another, function by function: see {@link py_gen_file}.
-module(py_gen_drift).

-export([lines/2]).

-type parts() :: #{binary() => {Says :: binary(), Does :: binary()}}.

%% @doc Lines that tell how an old text differs from a new one.
-spec lines(binary(), binary()) -> [unicode:chardata(), ...].
lines(Old, New) ->
    Before = parts(Old),
    Later = parts(New),
    Removed = [[<<"removed  ">>, Key] || Key <- maps:keys(maps:without(maps:keys(Later), Before))],
    Added = [[<<"added    ">>, Key] || Key <- maps:keys(maps:without(maps:keys(Before), Later))],
    Changed = [changed(Key, maps:get(Key, Before), Part) || {Key, Part} <- maps:to_list(Later), is_map_key(Key, Before), map_get(Key, Before) =/= Part],
    case lists:sort([unicode:characters_to_binary(Line) || Line <- Removed ++ Added ++ Changed]) of
        [] -> [<<"changed  nothing but the layout">>];
        Lines -> Lines
    end.

changed(Key, {_, Does}, {_, Does}) -> ["changed  ", Key, "\n  its documentation"];
changed(Key, {_, Did}, {_, Does}) -> ["changed  ", Key, "\n  - ", Did, "\n  + ", Does].

%% Comments belong to the form after them, specs to their functions.
-spec parts(binary()) -> parts().
parts(Text) ->
    case erl_scan:string(unicode:characters_to_list(Text), {1, 1}, [return_comments, text]) of
        {ok, Tokens, _} -> forms(Tokens, [], [], [], #{});
        {error, _, _} -> #{}
    end.

forms([{comment, _, Comment} | Tokens], Says, Form, Spec, Parts) ->
    forms(Tokens, [Comment | Says], Form, Spec, Parts);
forms([{dot, _} | Tokens], Says, Form, Spec, Parts) ->
    Forward = lists:reverse(Form),
    Text = lists:join(" ", [erl_scan:text(Token) || Token <- Forward]),
    case Forward of
        [{'-', _}, {atom, _, spec} | _] ->
            forms(Tokens, Says, [], Text, Parts);
        [{'-', _}, {atom, _, type}, {atom, _, Name} | _] ->
            forms(Tokens, [], [], [], Parts#{key("type ", Name, "") => part(Says, Text)});
        [{'-', _}, {atom, _, _} | _] ->
            forms(Tokens, [], [], [], Parts);
        [{atom, _, Name} | _] ->
            Arity = case erl_parse:parse_form(Forward ++ [{dot, {1, 1}}]) of {ok, {function, _, _, N, _}} -> integer_to_list(N); _ -> "?" end,
            forms(Tokens, [], [], [], Parts#{key("", Name, "/" ++ Arity) => part(Says, [Spec, " ", Text])});
        _ ->
            forms(Tokens, [], [], [], Parts)
    end;
forms([Token | Tokens], Says, Form, Spec, Parts) ->
    forms(Tokens, Says, [Token | Form], Spec, Parts);
forms([], _, _, _, Parts) ->
    Parts.

key(Kind, Name, Arity) -> unicode:characters_to_binary([Kind, atom_to_list(Name), Arity]).

part(Says, Text) -> {unicode:characters_to_binary(lists:join("\n", lists:reverse(Says))), unicode:characters_to_binary(Text)}.
