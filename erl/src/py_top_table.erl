%% @doc Tables for terminals, and figures that fit into them.
-module(py_top_table).

-export([lines/3, cut/2, time/1, bytes/1]).

-export_type([column/1]).

-type column(Row) :: {Title :: string(), left | right, GivesWay :: non_neg_integer(), fun((Row) -> unicode:chardata())}.
%% Columns that give way leave in the order of their numbers, the highest first; those with 0 stay.

%% @doc A line of titles and one for each row. The last column has what is left of the width.
-spec lines([column(Row)], [Row], pos_integer()) -> [unicode:chardata()].
lines(Columns, Rows, Width) ->
    Cells = [[{Order, Align, [Title | [plain(Value(Row)) || Row <- Rows]]}] || {Title, Align, Order, Value} <- Columns],
    Fitting = fit(lists:append(Cells), Width),
    Padded = [pad(Align, Texts, last(Column, Fitting)) || {_, Align, Texts} = Column <- Fitting],
    [string:trim(lists:join("  ", Line), trailing) || Line <- transpose(Padded)].

last(Column, Columns) ->
    Column =:= lists:last(Columns).

fit(Columns, Width) ->
    Order = lists:max([O || {O, _, _} <- Columns]),
    case needed(Columns) > Width andalso Order > 0 of
        true ->
            {Left, [_ | Right]} = lists:splitwith(fun({O, _, _}) -> O =/= Order end, Columns),
            fit(Left ++ Right, Width);
        false ->
            Columns
    end.

%% Of the last column no more than its title and a few characters have to be seen.
needed(Columns) ->
    {Most, [{_, _, [Title | _] = Last}]} = lists:split(length(Columns) - 1, Columns),
    lists:sum([widest(Texts) + 2 || {_, _, Texts} <- Most]) + min(widest(Last), length(Title) + 12).

widest(Texts) ->
    lists:max([string:length(Text) || Text <- Texts]).

pad(left, Texts, true) -> Texts;
pad(left, Texts, false) -> padded(trailing, Texts);
pad(right, Texts, _) -> padded(leading, Texts).

padded(Where, Texts) ->
    Width = widest(Texts),
    [string:pad(Text, Width, Where) || Text <- Texts].

transpose([[] | _]) -> [];
transpose(Columns) -> [[hd(Column) || Column <- Columns] | transpose([tl(Column) || Column <- Columns])].

%% Nothing that a terminal obeys: names and code come from programs.
-spec plain(unicode:chardata()) -> string().
plain(Text) ->
    [case C < $\s orelse (C >= 16#7f andalso C < 16#a0) of true -> $\s; false -> C end || C <- unicode:characters_to_list(Text)].

%% @doc A line of at most so many characters.
-spec cut(unicode:chardata(), pos_integer()) -> unicode:chardata().
cut(Line, Width) ->
    case string:length(Line) > Width of
        true -> [string:slice(Line, 0, Width - 1), "~"];
        false -> Line
    end.

%% @doc A time in nanoseconds, in three digits or so.
-spec time(non_neg_integer()) -> string().
time(0) -> "-";
time(Ns) when Ns < 1000000 -> digits(Ns / 1000, "us");
time(Ns) when Ns < 1000000000 -> digits(Ns / 1000000, "ms");
time(Ns) when Ns < 600 * 1000000000 -> digits(Ns / 1000000000, "s");
time(Ns) when Ns < 36000 * 1000000000 -> digits(Ns / 60000000000, "min");
time(Ns) -> digits(Ns / 3600000000000, "h").

%% @doc A size in bytes, in three digits or so.
-spec bytes(non_neg_integer()) -> string().
bytes(Bytes) when Bytes < 1 bsl 20 -> digits(Bytes / 1024, "K");
bytes(Bytes) when Bytes < 1 bsl 30 -> digits(Bytes / (1 bsl 20), "M");
bytes(Bytes) -> digits(Bytes / (1 bsl 30), "G").

digits(Number, Unit) when Number < 10 -> float_to_list(Number, [{decimals, 1}]) ++ Unit;
digits(Number, Unit) -> integer_to_list(round(Number)) ++ Unit.
