%% @doc Reads what a worker says of its Python threads: text in the form of `faulthandler', with lines of ours before it.
%%
%% The worker may have written anything; what is not understood is left out.
-module(py_stacks_text).

-export([parse/1]).

%% @doc The threads, those that run requests first.
-spec parse(binary()) -> #{lock := free | kept, threads := [py_stacks:thread()]} | #{error := binary()}.
parse(Text) ->
    case binary:split(Text, <<"\n">>, [global]) of
        [<<"free">> | Lines] -> #{lock => free, threads => threads(Lines)};
        [<<"kept">> | Lines] -> #{lock => kept, threads => threads(Lines)};
        [<<"failed ", Reason/binary>> | _] -> #{error => readable(Reason)};
        [Other | _] -> #{error => readable(Other)}
    end.

-spec threads([binary()]) -> [py_stacks:thread()].
threads(Lines) ->
    {Notes, Stacks} = lists:splitwith(fun(Line) -> binary:match(Line, <<"thread ">>) =:= {0, 7} end, Lines),
    Executors = lists:append([note(Note) || Note <- Notes]),
    Found = stacks(Stacks, []),
    Ours = [
        executor(Role, Request, Thread)
     || {Role, {Ident, Request}} <- roles(Executors), #{ident := I} = Thread <- Found, I =:= Ident
    ],
    Idents = [Ident || {Ident, _} <- Executors],
    %% Threads without Python functions are ours, or have ended.
    Ours ++ [Thread || #{ident := Ident, frames := [_ | _]} = Thread <- Found, not lists:member(Ident, Idents)].

roles([]) -> [];
roles([Main | Others]) -> [{main, Main} | [{executor, Other} || Other <- Others]].

-spec note(binary()) -> [{non_neg_integer(), none | non_neg_integer()}].
note(Line) ->
    case re:run(Line, "^thread 0x([0-9a-f]{1,16}) (-|[0-9]{1,20})$", [{capture, all_but_first, binary}]) of
        {match, [Ident, <<"-">>]} -> [{binary_to_integer(Ident, 16), none}];
        {match, [Ident, Request]} -> [{binary_to_integer(Ident, 16), binary_to_integer(Request)}];
        nomatch -> []
    end.

%% Lines become the frames of the thread whose line was the last of its kind.
-spec stacks([binary()], [py_stacks:thread()]) -> [py_stacks:thread()].
stacks([], Threads) ->
    lists:reverse([T#{frames := lists:reverse(Frames)} || #{frames := Frames} = T <- Threads]);
stacks([<<"  File ", _/binary>> = Line | Lines], [#{frames := Frames} = Thread | Threads]) ->
    stacks(Lines, [Thread#{frames := frame(Line) ++ Frames} | Threads]);
stacks([Line | Lines], Threads) ->
    stacks(Lines, head(Line) ++ Threads).

-spec head(binary()) -> [py_stacks:thread()].
head(Line) ->
    Pattern = "^(?:Current thread|Thread) 0x([0-9a-f]{1,16})(?: \\[(.*)\\])? \\(most recent call first\\):$",
    case re:run(Line, Pattern, [{capture, all_but_first, binary}]) of
        {match, [Ident]} -> [#{ident => binary_to_integer(Ident, 16), name => <<>>, frames => []}];
        {match, [Ident, Name]} -> [#{ident => binary_to_integer(Ident, 16), name => readable(Name), frames => []}];
        nomatch -> []
    end.

-spec frame(binary()) -> [py_stacks:frame()].
frame(Line) ->
    case re:run(Line, "^  File (?:\"(.*)\"|\\?\\?\\?), line ([0-9]{1,9}|\\?\\?\\?) in (.*)$", [{capture, all_but_first, binary}]) of
        {match, [File, Number, Function]} ->
            [#{file => readable(File), line => number(Number), function => readable(Function)}];
        nomatch ->
            []
    end.

number(<<"???">>) -> 0;
number(Digits) -> binary_to_integer(Digits).

%% Without what a thread of ours always has at the bottom.
-spec executor(main | executor, none | non_neg_integer(), py_stacks:thread()) -> py_stacks:thread().
executor(Role, Request, #{name := Name, frames := Frames} = Thread) ->
    Known = Thread#{name := named(Role, Name), frames := above(Role, Frames)},
    case Request of
        none -> Known;
        _ -> Known#{request => #{id => Request}}
    end.

named(main, <<>>) -> <<"MainThread">>;
named(executor, <<>>) -> <<"executor">>;
named(_, Name) -> Name.

above(Role, Frames) ->
    Bottom = case Role of
        main -> [<<"<module>">>, <<"bootstrap">>];
        executor -> [<<"_bootstrap">>, <<"_bootstrap_inner">>, <<"run">>]
    end,
    Count = length(Bottom),
    case lists:split(min(Count, length(Frames)), lists:reverse(Frames)) of
        {Last, Rest} when length(Last) =:= Count ->
            case [F || #{function := F} <- Last] of
                Bottom -> lists:reverse(Rest);
                _ -> Frames
            end;
        _ ->
            Frames
    end.

%% Text as the worker wrote it, in ASCII with escapes for other characters.
-spec readable(binary()) -> unicode:unicode_binary().
readable(Text) ->
    readable(Text, <<>>).

readable(<<"\\x", Hex:2/binary, Rest/binary>>, Done) -> escaped(<<"\\x">>, Hex, Rest, Done);
readable(<<"\\u", Hex:4/binary, Rest/binary>>, Done) -> escaped(<<"\\u">>, Hex, Rest, Done);
readable(<<"\\U", Hex:8/binary, Rest/binary>>, Done) -> escaped(<<"\\U">>, Hex, Rest, Done);
readable(<<C, Rest/binary>>, Done) when C >= $\s, C =< $~ -> readable(Rest, <<Done/binary, C>>);
readable(<<_, Rest/binary>>, Done) -> readable(Rest, <<Done/binary, "?">>);
readable(<<>>, Done) -> Done.

escaped(Mark, Hex, Rest, Done) ->
    try character(binary_to_integer(Hex, 16)) of
        Character -> readable(Rest, <<Done/binary, Character/binary>>)
    catch
        %% No number, or none of a character.
        error:badarg -> readable(<<Hex/binary, Rest/binary>>, <<Done/binary, Mark/binary>>)
    end.

%% None that a terminal obeys.
character(Code) when Code < $\s; Code > $~, Code < 16#A0 -> <<"?">>;
character(Code) -> <<Code/utf8>>.
