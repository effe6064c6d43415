%% @doc Pickles, as far as the comparison with a port that speaks pickle needs them: writes protocol 3, reads what Python writes in it.
-module(py_bench_pickle).

-export([encode/1, decode/1]).

-export_type([value/0]).

-type value() :: atom() | binary() | number() | [value()] | tuple() | #{value() => value()}.

%% @doc Atoms and tuples become strings and tuples, binaries bytes.
-spec encode(value()) -> [iodata() | byte(), ...].
encode(Term) ->
    [<<128, 3>>, write(Term), $.].

write(true) -> <<136>>;
write(false) -> <<137>>;
write(none) -> $N;
write(Atom) when is_atom(Atom) ->
    Name = atom_to_binary(Atom),
    [<<$X, (byte_size(Name)):32/little>>, Name];
write(N) when is_integer(N), N >= 0, N < 256 -> <<$K, N>>;
write(N) when is_integer(N), N >= -16#80000000, N < 16#80000000 -> <<$J, N:32/signed-little>>;
write(F) when is_float(F) -> <<$G, F/float>>;
write(Binary) when is_binary(Binary) -> [<<$B, (byte_size(Binary)):32/little>>, Binary];
write([]) -> $];
write(List) when is_list(List) -> [<<"](">>, [write(Item) || Item <- List], $e];
write(Tuple) when is_tuple(Tuple) -> [$(, [write(Item) || Item <- tuple_to_list(Tuple)], $t];
write(Map) when is_map(Map) -> [<<"}(">>, [[write(Key), write(Value)] || {Key, Value} <- maps:to_list(Map)], $u].

%% @doc None becomes `none', bytes and str binaries.
-spec decode(<<_:16, _:_*8>>) -> value().
decode(<<128, _Protocol, Rest/binary>>) ->
    read(Rest, []).

%% The stack of the pickle machine is a list; nothing here needs what was put into the memo.
read(<<$., _/binary>>, [Value]) -> Value;
read(<<$K, N, Rest/binary>>, Stack) -> read(Rest, [N | Stack]);
read(<<$M, N:16/little, Rest/binary>>, Stack) -> read(Rest, [N | Stack]);
read(<<$J, N:32/signed-little, Rest/binary>>, Stack) -> read(Rest, [N | Stack]);
read(<<138, Size, N:Size/signed-little-unit:8, Rest/binary>>, Stack) -> read(Rest, [N | Stack]);
read(<<$G, F/float, Rest/binary>>, Stack) -> read(Rest, [F | Stack]);
read(<<$N, Rest/binary>>, Stack) -> read(Rest, [none | Stack]);
read(<<136, Rest/binary>>, Stack) -> read(Rest, [true | Stack]);
read(<<137, Rest/binary>>, Stack) -> read(Rest, [false | Stack]);
read(<<$C, Size, Data:Size/binary, Rest/binary>>, Stack) -> read(Rest, [Data | Stack]);
read(<<$B, Size:32/little, Data:Size/binary, Rest/binary>>, Stack) -> read(Rest, [Data | Stack]);
read(<<$X, Size:32/little, Text:Size/binary, Rest/binary>>, Stack) -> read(Rest, [Text | Stack]);
read(<<$q, _, Rest/binary>>, Stack) -> read(Rest, Stack);
read(<<$r, _:32, Rest/binary>>, Stack) -> read(Rest, Stack);
read(<<$], Rest/binary>>, Stack) -> read(Rest, [[] | Stack]);
read(<<$}, Rest/binary>>, Stack) -> read(Rest, [#{} | Stack]);
read(<<$), Rest/binary>>, Stack) -> read(Rest, [{} | Stack]);
read(<<$(, Rest/binary>>, Stack) -> read(Rest, [mark | Stack]);
read(<<$a, Rest/binary>>, [Item, List | Stack]) -> read(Rest, [List ++ [Item] | Stack]);
read(<<$s, Rest/binary>>, [Value, Key, Map | Stack]) -> read(Rest, [Map#{Key => Value} | Stack]);
read(<<133, Rest/binary>>, [A | Stack]) -> read(Rest, [{A} | Stack]);
read(<<134, Rest/binary>>, [B, A | Stack]) -> read(Rest, [{A, B} | Stack]);
read(<<135, Rest/binary>>, [C, B, A | Stack]) -> read(Rest, [{A, B, C} | Stack]);
read(<<$t, Rest/binary>>, Stack) ->
    {Items, Below} = to_mark(Stack, []),
    read(Rest, [list_to_tuple(Items) | Below]);
read(<<$e, Rest/binary>>, Stack) ->
    {Items, [List | Below]} = to_mark(Stack, []),
    read(Rest, [List ++ Items | Below]);
read(<<$u, Rest/binary>>, Stack) ->
    {Items, [Map | Below]} = to_mark(Stack, []),
    read(Rest, [maps:merge(Map, maps:from_list(pairs(Items))) | Below]).

to_mark([mark | Below], Items) -> {Items, Below};
to_mark([Item | Stack], Items) -> to_mark(Stack, [Item | Items]).

pairs([Key, Value | Rest]) -> [{Key, Value} | pairs(Rest)];
pairs([]) -> [].
