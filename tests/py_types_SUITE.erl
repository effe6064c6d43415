%% The type table, through a worker and back.
-module(py_types_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(RUNS, 3000).

suite() -> [{timetrap, {seconds, 180}}].

all() ->
    [
        down, up, floats, texts, opaque, tags, ndarray, numpy, containers, subclasses, special_objects,
        random_terms, random_python, big_integers, big_binary, long_list, deep_nesting, wide_map, many_shapes
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    ok = py_test:define(<<"
        def echo(x):
            return x
        def typed(x):
            return type(x).__name__
    ">>),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py:unbind().

echo(Term) ->
    py:call('__main__', echo, [Term]).

typed(Term) ->
    {ok, Name} = py:call('__main__', typed, [Term]),
    Name.

%% What the term is in Python.
%% covers: to_python:boolean, to_python:none, to_python:atom, to_python:integer, to_python:float, to_python:binary
%% covers: to_python:bytes, to_python:str, to_python:buffer, to_python:list, to_python:tuple, to_python:map
%% covers: to_python:literal_tuple, to_python:opaque
down(_) ->
    Expected = [
        {true, <<"bool">>}, {false, <<"bool">>}, {none, <<"NoneType">>}, {nil, <<"NoneType">>}, {undefined, <<"NoneType">>},
        {an_atom, <<"str">>}, {1, <<"int">>}, {1.5, <<"float">>}, {{float, nan}, <<"float">>}, {<<"text">>, <<"str">>},
        {<<255>>, <<"bytes">>}, {{bytes, <<"a">>}, <<"bytes">>}, {{str, [228, "x"]}, <<"str">>}, {[], <<"list">>}, {[1], <<"list">>},
        {"abc", <<"list">>}, {{}, <<"tuple">>}, {{1, 2}, <<"tuple">>}, {#{}, <<"dict">>}, {{tuple, {bytes, <<"a">>}}, <<"tuple">>},
        {self(), <<"Pid">>}, {make_ref(), <<"Ref">>}, {fun lists:map/2, <<"Fun">>}
    ],
    [?assertEqual({Term, Name}, {Term, typed(Term)}) || {Term, Name} <- Expected],
    {ok, <<"bytes">>} = py:eval(<<"bytes(x).__class__.__name__">>, #{x => {buffer, <<"abc">>}}).

%% What Python values are here.
%% covers: to_erlang:bool, to_erlang:none, to_erlang:str, to_erlang:bytes, to_erlang:list, to_erlang:tuple
%% covers: to_erlang:dict, to_erlang:set
up(_) ->
    Expected = [
        {<<"True">>, true}, {<<"False">>, false}, {<<"None">>, none}, {<<"'text'">>, <<"text">>}, {<<"b'\\xff'">>, <<255>>},
        {<<"bytearray(b'a')">>, <<"a">>}, {<<"memoryview(b'abc')[1:]">>, <<"bc">>}, {<<"range(3)">>, [0, 1, 2]},
        {<<"(1, 'a')">>, {1, <<"a">>}}, {<<"{1: 2}">>, #{1 => 2}}, {<<"{1: 2}.keys()">>, [1]}, {<<"{1: 2}.values()">>, [2]},
        {<<"{1: 2}.items()">>, [{1, 2}]}, {<<"frozenset([1])">>, [1]}, {<<"{7}">>, [7]}, {<<"'\\xe4'">>, <<"ä"/utf8>>},
        {<<"__import__('collections').deque([1, 2])">>, [1, 2]}, {<<"__import__('array').array('i', [1, 2])">>, [1, 2]},
        {<<"__import__('types').MappingProxyType({1: 2})">>, #{1 => 2}}, {<<"'\\udcff'">>, <<255>>}
    ],
    [?assertEqual({Code, {ok, Value}}, {Code, py:eval(Code)}) || {Code, Value} <- Expected],
    {error, {unsupported_object, _}} = py:eval(<<"'\\ud800'">>).

%% covers: to_python:float, to_erlang:float
floats(_) ->
    Values = [0.0, 1.5, -1.5, 1.0e308, 5.0e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math:pi()],
    [{ok, F} = echo(F) || F <- Values],
    {ok, nan} = echo({float, nan}),
    {ok, infinity} = echo({float, infinity}),
    {ok, neg_infinity} = echo({float, neg_infinity}),
    {ok, true} = py:eval(<<"x != x">>, #{x => {float, nan}}),
    {ok, true} = py:eval(<<"str(x) == '-0.0'">>, #{x => -0.0}).

%% covers: to_python:str, to_erlang:str
texts(_) ->
    Texts = [<<>>, <<"a">>, <<"äöü€😀"/utf8>>, <<0>>, binary:copy(<<"long ">>, 100000)],
    [{ok, T} = echo(T) || T <- Texts],
    [{ok, T} = echo({str, unicode:characters_to_list(T)}) || T <- Texts],
    [{ok, T} = echo({bytes, T}) || T <- Texts],
    {ok, 1} = py:call(builtins, len, [<<"😀"/utf8>>]),
    {ok, <<"bytes">>} = py:eval(<<"type(x).__name__">>, #{x => <<16#ed, 16#a0, 16#80>>}),
    {ok, <<"ä"/utf8>>} = echo('ä').

%% covers: to_python:opaque, to_erlang:opaque, erlang.Pid, erlang.Ref, erlang.Port, erlang.Fun
opaque(_) ->
    Port = hd(erlang:ports()),
    Captured = 5,
    Fun = fun(X) -> X + Captured end,
    Terms = [self(), make_ref(), Port, Fun, fun lists:map/2, fun erlang:self/0],
    [?assertEqual({ok, T}, echo(T)) || T <- Terms],
    {ok, Same} = echo(Fun),
    12 = Same(7),
    Self = self(),
    {ok, true} = py:eval(<<"a == b and hash(a) == hash(b) and len({a, b}) == 1">>, #{a => Self, b => Self}),
    {ok, false} = py:eval(<<"a == b">>, #{a => make_ref(), b => make_ref()}),
    {ok, #{Self := 1}} = echo(#{Self => 1}),
    Classes = <<"[isinstance(x, c) for x, c in zip(xs, [erlang.Pid, erlang.Ref, erlang.Port, erlang.Fun])]">>,
    {ok, [true, true, true, true]} = py:eval(Classes, #{xs => [Self, make_ref(), Port, Fun]}).

%% covers: to_python:literal_tuple, to_python:buffer, option:tags
tags(_) ->
    {ok, {<<"float">>, none}} = py:call('__main__', echo, [{tuple, {float, nil}}]),
    {ok, {<<"bytes">>, <<"x">>}} = py:call('__main__', echo, [{bytes, <<"x">>}], #{}, #{tags => false}),
    {ok, <<"abc">>} = echo({buffer, <<"abc">>}),
    Big = binary:copy(<<7>>, 1000000),
    {ok, true} = py:eval(<<"memoryview(x).readonly and len(x) == 1000000 and x[999999] == 7">>, #{x => {buffer, Big}}).

%% covers: to_python:ndarray
ndarray(_) ->
    Data = <<1:32/little, 2:32/little, 3:32/little, 4:32/little>>,
    case has_numpy() of
        true ->
            {ok, 10} = py:eval(<<"int(x.sum())">>, #{x => {ndarray, <<"int32">>, [2, 2], Data}}),
            {ok, {2, 2}} = py:eval(<<"x.shape">>, #{x => {ndarray, int32, [2, 2], Data}});
        false ->
            {ok, Data} = py:eval(<<"bytes(x)">>, #{x => {ndarray, <<"int32">>, [2, 2], Data}})
    end.

%% covers: to_erlang:numpy, option:ndarray
numpy(_) ->
    case has_numpy() of
        false ->
            {skip, "no numpy"};
        true ->
            ok = py:exec(<<"import numpy as np">>),
            {ok, [[0, 1], [2, 3]]} = py:eval(<<"np.arange(4).reshape(2, 2)">>),
            {ok, [0.5, nan]} = py:eval(<<"np.array([0.5, np.nan])">>),
            {ok, 3} = py:eval(<<"np.int64(3)">>),
            {ok, 2.5} = py:eval(<<"np.float32(2.5)">>),
            {ok, true} = py:eval(<<"np.bool_(True)">>),
            {ok, {ndarray, Dtype, {2, 2}, Data}} = py:eval(<<"np.arange(4, dtype='int32').reshape(2, 2)">>, #{}, #{ndarray => binary}),
            ?assertEqual({<<"int32">>, <<0:32/little, 1:32/little, 2:32/little, 3:32/little>>}, {Dtype, Data})
    end.

has_numpy() ->
    {ok, Found} = py:eval(<<"__import__('importlib.util').util.find_spec('numpy') is not None">>),
    Found.

%% covers: to_python:list, to_python:tuple, to_python:map, to_erlang:list, to_erlang:tuple, to_erlang:dict
containers(_) ->
    Term = #{
        <<"list">> => [1, [2, [3, []]]], <<"tuple">> => {1, {2, {}}}, <<"map">> => #{1 => #{2 => #{}}}, {1, <<"a">>} => 1.5, 7 => none
    },
    {ok, Term} = echo(Term),
    {ok, [1, 2, 3]} = echo([1, 2, 3]),
    {ok, "abc"} = echo("abc"),
    ok.

%% covers: to_erlang:subclass
subclasses(_) ->
    ok = py:exec(<<"
        import enum, collections
        class I(int): pass
        class S(str): pass
        class L(list): pass
        class D(dict): pass
        class E(enum.IntEnum):
            ONE = 1
        N = collections.namedtuple('N', 'a b')
    ">>),
    {ok, {5, <<"s">>, [1], #{1 := 2}, 1, {1, 2}, #{<<"a">> := 1}}} =
        py:eval(<<"(I(5), S('s'), L([1]), D({1: 2}), E.ONE, N(1, 2), collections.OrderedDict(a=1))">>),
    ok.

%% covers: to_erlang:unknown, option:unknown
special_objects(_) ->
    {ok, <<"1.10">>} = py:eval(<<"__import__('decimal').Decimal('1.10')">>),
    {ok, <<"2020-01-02">>} = py:eval(<<"__import__('datetime').date(2020, 1, 2)">>),
    {ok, <<"(1+2j)">>} = py:eval(<<"1 + 2j">>),
    {ok, <<"/a">>} = py:eval(<<"__import__('pathlib').Path('/a')">>),
    {error, {unsupported_object, _}} = py:eval(<<"1 + 2j">>, #{}, #{unknown => error}).

%% Random terms come back as the table says.
%% covers: to_python:integer, to_python:float, to_python:binary, to_python:map
random_terms(_) ->
    Seed = rand:seed(exsss),
    ct:log("seed ~p", [element(2, Seed)]),
    lists:foreach(
        fun(N) ->
            Term = term(N rem 6),
            Expected = expected(Term),
            case echo(Term) of
                {ok, Expected} -> ok;
                Other -> ct:fail({Term, expected, Expected, got, Other})
            end
        end,
        lists:seq(1, ?RUNS)
    ).

term(0) ->
    leaf();
term(Depth) ->
    case rand:uniform(6) of
        1 -> [term(Depth - 1) || _ <- some()];
        2 -> list_to_tuple([plain(Depth - 1) || _ <- some()]);
        3 -> maps:from_list([{key(N), term(Depth - 1)} || N <- some()]);
        4 -> {tuple, list_to_tuple([bytes | [term(Depth - 1) || _ <- some()]])};
        _ -> leaf()
    end.

%% The first element of a tuple must not be an atom that stands for something.
plain(Depth) ->
    case term(Depth) of
        Atom when is_atom(Atom) -> 1;
        Term -> Term
    end.

some() ->
    lists:seq(1, rand:uniform(6) - 1).

%% Keys that cannot collide, neither as terms nor as Python keys.
key(N) ->
    case rand:uniform(5) of
        1 -> N;
        2 -> <<"key ", (integer_to_binary(N))/binary>>;
        3 -> {N, <<"x">>, 0.5};
        4 -> N + 0.25;
        5 -> {bytes, <<255, N>>}
    end.

leaf() ->
    case rand:uniform(17) of
        1 -> rand:uniform(200) - 100;
        2 -> rand:uniform(1 bsl 62) - (1 bsl 61);
        3 -> (rand:uniform(1 bsl 64) - (1 bsl 63)) * (1 bsl rand:uniform(400));
        4 -> lists:nth(rand:uniform(6), [(1 bsl 63), -(1 bsl 63), (1 bsl 63) - 1, (1 bsl 31), -(1 bsl 31) - 1, (1 bsl 64)]);
        5 -> (rand:uniform() - 0.5) * math:pow(10, rand:uniform(600) - 300);
        6 -> lists:nth(rand:uniform(5), [true, false, none, nil, undefined]);
        7 -> lists:nth(rand:uniform(4), [an_atom, 'with space', '', 'ünïcode']);
        8 -> rand:bytes(rand:uniform(40) - 1);
        9 -> unicode:characters_to_binary([rand:uniform(16#d7ff) || _ <- some()]);
        10 -> {bytes, rand:bytes(rand:uniform(300))};
        11 -> {str, [rand:uniform(16#d7ff) || _ <- some()]};
        12 -> {buffer, rand:bytes(rand:uniform(300))};
        13 -> {float, lists:nth(rand:uniform(3), [nan, infinity, neg_infinity])};
        14 -> lists:nth(rand:uniform(3), [self(), make_ref(), fun ?MODULE:echo/1]);
        15 -> [rand:uniform(256) - 1 || _ <- lists:seq(1, rand:uniform(50))];
        16 -> rand:bytes(rand:uniform(40000));
        17 -> []
    end.

expected({bytes, Binary}) -> Binary;
expected({buffer, Binary}) -> Binary;
expected({str, Text}) -> unicode:characters_to_binary(Text);
expected({float, Special}) when is_atom(Special) -> Special;
expected({tuple, Tuple}) -> list_to_tuple([expected(T) || T <- tuple_to_list(Tuple)]);
expected(Tuple) when is_tuple(Tuple) -> list_to_tuple([expected(T) || T <- tuple_to_list(Tuple)]);
expected(List) when is_list(List) -> [expected(T) || T <- List];
expected(Map) when is_map(Map) -> maps:from_list([{expected(K), expected(V)} || {K, V} <- maps:to_list(Map)]);
expected(Bool) when is_boolean(Bool) -> Bool;
expected(None) when None =:= none; None =:= nil; None =:= undefined -> none;
expected(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
expected(Term) -> Term.

%% Python agrees with itself about what it got: its repr of an echoed value is that of the literal.
%% covers: to_erlang:int, to_erlang:float, to_erlang:str, to_erlang:dict
random_python(_) ->
    ok = py:exec(<<"
        import random
        def make(rng, depth):
            kind = rng.randrange(9 if depth else 6)
            if kind == 0: return rng.randrange(-1 << rng.randrange(1, 200), 1 << 70)
            if kind == 1: return rng.uniform(-1e9, 1e9)
            if kind == 2: return ''.join(chr(rng.randrange(1, 0xd7ff)) for _ in range(rng.randrange(20)))
            if kind == 3: return bytes([255]) + bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
            if kind == 4: return rng.random() < 0.5
            if kind == 5: return None
            if kind == 6: return [make(rng, depth - 1) for _ in range(rng.randrange(5))]
            if kind == 7: return (0,) + tuple(make(rng, depth - 1) for _ in range(rng.randrange(5)))
            return {'k%d' % n: make(rng, depth - 1) for n in range(rng.randrange(5))}
        def same(seed, value):
            return repr(value) == repr(make(random.Random(seed), 5))
    ">>),
    lists:foreach(
        fun(Seed) ->
            {ok, Value} = py:eval(<<"make(random.Random(seed), 5)">>, #{seed => Seed}),
            ?assertEqual({Seed, {ok, true}}, {Seed, py:call('__main__', same, [Seed, Value])})
        end,
        lists:seq(1, 500)
    ).

%% covers: to_python:integer, to_erlang:int
big_integers(_) ->
    Big = 1 bsl 10000,
    [{ok, N} = echo(N) || N <- [Big, -Big, Big - 1, 1 - Big, 1 bsl 2040, 1 bsl 2048, -(1 bsl 2048)]],
    {ok, Power} = py:eval(<<"3 ** 10000">>),
    ?assertEqual(lists:foldl(fun(_, P) -> 3 * P end, 1, lists:seq(1, 10000)), Power),
    %% Beyond what the BEAM has: a clear error, and the node lives.
    {error, {unsupported_object, _}} = py:eval(<<"1 << (1 << 27)">>).

%% covers: to_python:bytes, to_erlang:bytes
big_binary(_) ->
    Size = 100 * 1024 * 1024,
    Big = binary:copy(<<"0123456789abcde\n">>, Size div 16),
    {ok, Size} = py:call(builtins, len, [{bytes, Big}]),
    {ok, Same} = echo({bytes, Big}),
    ?assert(Same =:= Big),
    {ok, Text} = py:eval(<<"'x' * n">>, #{n => Size}),
    ?assertEqual(Size, byte_size(Text)).

%% covers: to_python:list, to_erlang:list
long_list(_) ->
    List = lists:seq(1, 1000000),
    {ok, 500000500000} = py:call(builtins, sum, [List]),
    {ok, Same} = echo(List),
    ?assert(Same =:= List),
    {ok, Made} = py:eval(<<"list(range(1, 1000001))">>),
    ?assert(Made =:= List).

%% covers: to_erlang:deep
deep_nesting(_) ->
    Depth = 100000,
    List = lists:foldl(fun(_, T) -> [T] end, [], lists:seq(1, Depth)),
    Tuple = lists:foldl(fun(_, T) -> {T} end, {}, lists:seq(1, Depth)),
    Map = lists:foldl(fun(_, T) -> #{1 => T} end, #{}, lists:seq(1, Depth)),
    [deep(Term) || Term <- [List, Tuple, Map]],
    {ok, 1} = py:eval(<<"1">>).

%% The right result or a clear error, and the worker lives.
deep(Term) ->
    Workers = py_test:os_pids(default),
    case echo(Term) of
        {ok, Same} -> ?assert(Same =:= Term);
        {error, {Type, Message}} -> ct:log("~p ~ts", [Type, Message])
    end,
    ?assertEqual(Workers, py_test:os_pids(default)).

%% covers: to_python:map, to_erlang:dict
wide_map(_) ->
    Map = maps:from_list([{<<"key", (integer_to_binary(N))/binary>>, N} || N <- lists:seq(1, 100000)]),
    {ok, Same} = echo(Map),
    ?assert(Same =:= Map).

%% Sizes around every boundary of the transport: slots, cells, records, arena, segments.
many_shapes(_) ->
    Sizes = lists:usort(lists:append([[N - 1, N, N + 1] || N <- [1 bsl K || K <- lists:seq(1, 23)] ++ [200, 240, 216, 32768 - 64]])),
    lists:foreach(
        fun(Size) ->
            Binary = binary:copy(<<255>>, Size),
            {ok, Same} = echo(Binary),
            ?assert(Same =:= Binary),
            {ok, Made} = py:eval(<<"b'\\xff' * n">>, #{n => Size}),
            ?assert(Made =:= Binary),
            {ok, Size} = py:call(builtins, len, [Binary])
        end,
        Sizes
    ).
