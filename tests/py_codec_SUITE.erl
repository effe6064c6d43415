%% The codec by itself: terms to bytes and back, without a worker.
%%
%% `encode/2' writes what travels to Python, `decode/2' reads what comes from there; since `decode/2' knows the tags
%% of both directions, the two make a loop. `expected/1' is the type table of the documentation for that loop.
-module(py_codec_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0]).
-export([
    scalars/1,
    special_tuples/1,
    special_tuples_off/1,
    binary_option/1,
    none_option/1,
    unsupported_terms/1,
    random_terms/1,
    bytes_of_the_beam/1,
    bytes_from_the_beam/1,
    atoms/1,
    large_binaries/1,
    large_terms/1,
    deep_terms/1,
    opaque_terms/1,
    opaque_terms_after_net_kernel_start/1,
    forged_opaque_terms/1,
    map_keys_that_collide/1,
    unknown_atoms/1,
    hostile_bytes/1,
    hostile_counts/1,
    requests/1,
    bad_requests/1,
    replies/1,
    exceptions/1,
    exception_names_are_bounded/1
]).
-export([net_kernel_start/0]).

-define(TAGS_OFF, (1 bsl 9)).
-define(BINARY_BYTES, (1 bsl 5)).
-define(ERROR_MAP, (1 bsl 6)).
-define(WHOLE_MESSAGE, (1 bsl 15)).

suite() -> [{timetrap, {minutes, 5}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

%% ---------------------------------------------------------------------------------------------------------------
%% The type table
%% ---------------------------------------------------------------------------------------------------------------

%% covers: to_python:integer, to_python:float, to_python:binary
scalars(_) ->
    [
        ?assertEqual({ok, T}, loop(T))
     || T <-
            [0, 255, 256, -1, -128, 1 bsl 31, -(1 bsl 31), -(1 bsl 31) - 1, 1 bsl 59, -(1 bsl 60), 1 bsl 63,
             (1 bsl 63) - 1, -(1 bsl 63), -(1 bsl 63) - 1, (1 bsl 64) - 1, 1 bsl 64, 1 bsl 2039, 1 bsl 2040,
             -(1 bsl 50000), 0.0, -0.0, 1.5, 1.7976931348623157e308, 5.0e-324, true, false, ok, '', <<>>, <<0>>,
             <<"text">>, <<255, 254>>, [], [a], [1, 2, 3], "text", {}, {1}, {1, {2, [3]}}, #{}, #{a => 1, <<"b">> => [2]}]
    ],
    ?assertEqual(<<"-0.0">>, list_to_binary(io_lib:format("~w", [element(2, loop(-0.0))]))).

%% covers: to_python:bytes, to_python:str, to_python:literal_tuple
special_tuples(_) ->
    [
        ?assertEqual({ok, Expected}, loop(T))
     || {T, Expected} <-
            [{{bytes, <<1, 255>>}, <<1, 255>>},
             {{str, <<"x">>}, <<"x">>},
             {{str, [$a, 233, [[<<"b">>], 26085] | <<"c">>]}, <<"a", 233/utf8, "b", 26085/utf8, "c">>},
             {{str, []}, <<>>},
             {{buffer, <<>>}, <<>>},
             {{buffer, <<"abc">>}, <<"abc">>},
             {[{buffer, <<"a">>}, {buffer, <<"bc">>}], [<<"a">>, <<"bc">>]},
             {{float, nan}, nan},
             {{float, infinity}, infinity},
             {{float, neg_infinity}, neg_infinity},
             {{tuple, {bytes, <<1>>}}, {bytes, <<1>>}},
             {{tuple, {tuple, {}}}, {tuple, {}}},
             {{tuple, {}}, {}},
             {{ndarray, float32, {2}, <<0:64>>}, {ndarray, <<"float32">>, {2}, <<0:64>>}},
             {{ndarray, "<f4", [1, 2], <<0:64>>}, {ndarray, <<"<f4">>, {1, 2}, <<0:64>>}},
             %% Not of the special form: ordinary tuples.
             {{bytes, 5}, {bytes, 5}},
             {{str, 5}, {str, 5}},
             {{float, 1.0}, {float, 1.0}},
             {{tuple, 1}, {tuple, 1}},
             {{bytes, <<1>>, 2}, {bytes, <<1>>, 2}},
             {{ndarray, a, b, c}, {ndarray, a, b, c}}]
    ].

%% covers: option:tags
special_tuples_off(_) ->
    [
        ?assertEqual({ok, T}, loop(T, ?TAGS_OFF))
     || T <- [{bytes, <<1>>}, {float, nan}, {tuple, {1}}, {str, <<"x">>}, {buffer, <<1>>}, {ndarray, a, {1}, <<1>>}]
    ].

%% covers: option:binary
binary_option(_) ->
    ?assertEqual(<<109, 1:32, $x>>, py_nif:encode(<<"x">>, 0)),
    ?assertEqual(<<8, 1:32/little, $x>>, py_nif:encode(<<"x">>, ?BINARY_BYTES)),
    ?assertEqual(<<8, 1:32/little, $x>>, py_nif:encode({bytes, <<"x">>}, 0)),
    ?assertEqual(<<9, 1:32/little, $x>>, py_nif:encode({str, <<"x">>}, ?BINARY_BYTES)).

%% covers: option:none
none_option(_) ->
    [?assertEqual(<<1>>, py_nif:encode(T, 0)) || T <- [none, nil, undefined]],
    [?assertEqual({ok, T}, py_nif:decode(<<1>>, Bits)) || {Bits, T} <- [{0, none}, {1, nil}, {2, undefined}]].

%% covers: error:unsupported_term
unsupported_terms(_) ->
    [
        ?assertEqual({error, {unsupported_term, Culprit}}, py_nif:encode(T, 0))
     || {T, Culprit} <-
            [{<<1:3>>, <<1:3>>},
             {[1 | 2], [1 | 2]},
             {{a, [#{k => [x, y | z]}]}, [x, y | z]},
             {#{<<1:1>> => 1}, <<1:1>>},
             {{str, <<255>>}, {str, <<255>>}},
             {{str, [-1]}, {str, [-1]}},
             {{str, [16#D800]}, {str, [16#D800]}},
             {{str, [a]}, {str, [a]}},
             {{ndarray, f, [-1], <<>>}, {ndarray, f, [-1], <<>>}},
             {{ndarray, f, lists:duplicate(256, 1), <<>>}, {ndarray, f, lists:duplicate(256, 1), <<>>}}]
    ].

random_terms(_) ->
    rand:seed(exsss, seed()),
    [
        begin
            T = term(4),
            ?assertEqual({ok, expected(T)}, loop(T)),
            ?assertEqual({ok, nones(T)}, loop(T, ?TAGS_OFF))
        end
     || _ <- lists:seq(1, 5000)
    ].

%% ---------------------------------------------------------------------------------------------------------------
%% Against the BEAM's own format
%% ---------------------------------------------------------------------------------------------------------------

bytes_of_the_beam(_) ->
    rand:seed(exsss, seed()),
    [
        begin
            T = plain_term(4),
            <<131, Expected/binary>> = term_to_binary(T, [{minor_version, 2}]),
            ?assertEqual({T, Expected}, {T, py_nif:encode(T, 0)})
        end
     || _ <- lists:seq(1, 5000)
    ].

bytes_from_the_beam(_) ->
    rand:seed(exsss, seed()),
    [
        begin
            T = [lists:duplicate(rand:uniform(300), rand:uniform(256) - 1), plain_term(4), some_atom, 'é', '日本'],
            <<131, Bytes/binary>> = term_to_binary(T, [{minor_version, 2}]),
            ?assertEqual({ok, T}, py_nif:decode(Bytes, 0))
        end
     || _ <- lists:seq(1, 5000)
    ].

%% covers: to_python:atom
atoms(_) ->
    Long = list_to_atom(lists:duplicate(255, $x)),
    Wide = list_to_atom(lists:duplicate(255, 16#1F600)),
    [?assertEqual({ok, T}, loop(T)) || T <- [a, 'é', 'ÿ', '日本', '\x{1F600}', Long, Wide, list_to_atom(lists:duplicate(128, 233))]],
    %% More atoms than the cache of their texts holds, twice.
    Many = [list_to_atom("py_codec_" ++ integer_to_list(I)) || I <- lists:seq(1, 5000)],
    ?assertEqual({ok, Many}, loop(Many)),
    ?assertEqual({ok, lists:reverse(Many)}, loop(lists:reverse(Many))).

%% ---------------------------------------------------------------------------------------------------------------
%% Sizes
%% ---------------------------------------------------------------------------------------------------------------

large_binaries(_) ->
    Sizes = [16383, 16384, 16385, 65536, 1 bsl 20, (1 bsl 20) - 1, 7000001],
    Binaries = [rand:bytes(S) || S <- Sizes],
    [?assertEqual({ok, B}, loop(B)) || B <- Binaries],
    ?assertEqual({ok, Binaries}, loop(Binaries)),
    ?assertEqual({ok, Binaries}, loop([{bytes, B} || B <- Binaries])),
    Text = binary:copy(<<"é"/utf8>>, 20000),
    ?assertEqual({ok, [Text, Text, Text]}, loop([{str, Text}, {str, unicode:characters_to_list(Text)}, {buffer, Text}])),
    %% From 16 KiB on the data are not among the terms.
    ?assertMatch(<<10, 3, 0:64, 16384:64/little, _/binary>>, py_nif:encode(binary:copy(<<0>>, 16384), 0)),
    ?assertMatch(<<10, 4, 0:64, 1:64/little, _:46/binary, 7>>, py_nif:encode({buffer, <<7>>}, 0)),
    %% Parts of binaries and bits that do not start at a byte.
    <<_:3, Odd:20000/binary, _/bits>> = binary:copy(<<171>>, 20001),
    ?assertEqual({ok, Odd}, loop(Odd)).

large_terms(_) ->
    List = lists:seq(1, 1000000),
    ?assert({ok, List} =:= loop(List)),
    Map = maps:from_list([{I, {integer_to_binary(I), float(I)}} || I <- lists:seq(1, 100000)]),
    ?assert({ok, Map} =:= loop(Map)),
    Tuple = list_to_tuple(lists:seq(1, 100000)),
    ?assert({ok, Tuple} =:= loop(Tuple)).

%% covers: to_erlang:deep
deep_terms(_) ->
    [
        begin
            Deep = lists:foldl(fun(_, Inner) -> Wrap(Inner) end, 1, lists:seq(1, 100000)),
            {ok, Same} = loop(Deep),
            %% Compared layer by layer: comparing such terms as a whole is the emulator's affair.
            ?assertEqual(100000, depth(Same))
        end
     || Wrap <- [fun(T) -> [T] end, fun(T) -> {T} end, fun(T) -> #{v => T} end, fun(T) -> [1, {x, T}, 2] end]
    ].

depth(1) -> 0;
depth([T]) -> 1 + depth(T);
depth({T}) -> 1 + depth(T);
depth(#{v := T}) -> 1 + depth(T);
depth([1, {x, T}, 2]) -> 1 + depth(T).

%% ---------------------------------------------------------------------------------------------------------------
%% Pids, references, ports, funs
%% ---------------------------------------------------------------------------------------------------------------

%% covers: to_python:opaque
opaque_terms(_) ->
    Captured = rand:bytes(100),
    Local = fun(X) -> {X, Captured, self()} end,
    Terms = [self(), whereis(init), make_ref(), hd(erlang:ports()), Local, fun lists:map/2, fun not_there:at_all/7 | foreign()],
    [?assertEqual({ok, T}, loop(T)) || T <- Terms],
    ?assertEqual({ok, Terms}, loop(Terms)),
    {ok, Back} = loop(Local),
    ?assertEqual({1, Captured, self()}, Back(1)),
    %% The same term has the same bytes, another one has others.
    Ref = make_ref(),
    ?assertEqual(py_nif:encode(Ref, 0), py_nif:encode(Ref, 0)),
    ?assertNotEqual(py_nif:encode(Ref, 0), py_nif:encode(make_ref(), 0)),
    ?assertEqual(nomatch, binary:match(py_nif:encode(Ref, 0), atom_to_binary(node()))).

%% A pid, reference and port of a node that is not there.
foreign() ->
    Name = <<119, 9, "codec@far">>,
    [
        binary_to_term(<<131, T/binary>>)
     || T <-
            [<<88, Name/binary, 77:32, 5:32, 3:32>>,
             <<90, 3:16, Name/binary, 3:32, 7:32, 8:32, 9:32>>,
             <<89, Name/binary, 4:32, 3:32>>]
    ].

opaque_terms_after_net_kernel_start(_) ->
    {ok, Peer, _} = peer:start(#{connection => standard_io, args => ["-pa" | code:get_path()]}),
    Result = peer:call(Peer, ?MODULE, net_kernel_start, [], 60000),
    peer:stop(Peer),
    ?assertEqual(ok, Result).

%% Runs in a node of its own: bytes from before its name changed mean the same terms afterwards.
net_kernel_start() ->
    nonode@nohost = node(),
    Terms = [whereis(init), make_ref(), hd(erlang:ports())],
    Before = [py_nif:encode(T, 0) || T <- Terms],
    {ok, _} = net_kernel:start(py_codec, #{name_domain => shortnames, dist_listen => false}),
    true = nonode@nohost =/= node(),
    Before = [py_nif:encode(T, 0) || T <- Terms],
    Terms = [begin {ok, T} = py_nif:decode(B, 0), T end || B <- Before],
    ok.

%% covers: guarantee:hostile
forged_opaque_terms(_) ->
    Fun = py_nif:encode(fun lists:map/2, 0),
    Local = py_nif:encode(fun() -> ok end, 0),
    [
        ?assertEqual({error, {unsupported_object, 'Fun'}}, py_nif:decode(flip(Bytes, At), 0))
     || Bytes <- [Fun, Local], At <- lists:seq(6, byte_size(Bytes) - 1)
    ],
    %% A pid is what it says, or nothing: no other term in its clothes.
    [
        ?assertMatch({error, {unsupported_object, 'Pid'}}, py_nif:decode(opaque(1, Data), 0))
     || Data <-
            [<<>>, <<88>>, <<97, 1>>, <<88, 119, 0, 1:32, 2:32>>, <<88, 119, 0, 1:32, 2:32, 3:32, 4>>,
             <<88, 119, 200, 1:32, 2:32, 3:32>>, <<88, 97, 0, 1:32, 2:32, 3:32>>,
             <<88, 119, 19, "py_codec_not_a_node", 1:32, 2:32, 3:32>>, <<80, 5:32, 1, 2, 3>>,
             <<90, 3:16, 119, 0, 3:32, 7:32, 8:32, 9:32>>]
    ],
    ?assertMatch({error, {unsupported_object, 'Ref'}}, py_nif:decode(opaque(2, <<90, 0:16, 119, 0, 0:32>>), 0)),
    ?assertMatch({error, {unsupported_object, 'Ref'}}, py_nif:decode(opaque(2, <<90, 9:16, 119, 0, 0:(10 * 32)>>), 0)).

flip(Bytes, At) ->
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    <<Before/binary, (Byte bxor 1), After/binary>>.

opaque(Kind, Data) -> <<12, Kind, (byte_size(Data)):32/little, Data/binary>>.

%% ---------------------------------------------------------------------------------------------------------------
%% Bytes that are not what they should be
%% ---------------------------------------------------------------------------------------------------------------

%% covers: to_erlang:refused
map_keys_that_collide(_) ->
    ?assertEqual({error, {unsupported_object, dict}}, py_nif:decode(<<116, 2:32, 97, 1, 97, 1, 97, 1, 97, 2>>, 0)),
    Pairs = [<<97, (I rem 64), 97, 0>> || I <- lists:seq(0, 64)],
    ?assertEqual({error, {unsupported_object, dict}}, py_nif:decode(iolist_to_binary([<<116, 65:32>> | Pairs]), 0)),
    ?assertEqual({ok, #{1 => 0, 1.0 => 0}}, py_nif:decode(<<116, 2:32, 97, 1, 97, 0, 70, 1.0/float, 97, 0>>, 0)).

%% covers: to_erlang:atom
unknown_atoms(_) ->
    Before = erlang:system_info(atom_count),
    [
        begin
            Name = <<"py_codec_unknown_", (integer_to_binary(I))/binary, Suffix/binary>>,
            ?assertEqual({error, {unsupported_object, 'Atom'}}, py_nif:decode(<<119, (byte_size(Name)), Name/binary>>, 0))
        end
     || I <- lists:seq(1, 1000), Suffix <- [<<>>, <<"é"/utf8>>, <<"日"/utf8>>]
    ],
    ?assert(erlang:system_info(atom_count) - Before < 100).

%% covers: guarantee:hostile
hostile_bytes(_) ->
    rand:seed(exsss, seed()),
    [
        begin
            Valid = py_nif:encode(term(3), 0),
            Bytes = mutate(Valid),
            case py_nif:decode(Bytes, rand:uniform(3) - 1) of
                {ok, T} -> ?assert(is_binary(term_to_binary(T)));
                {error, _} -> ok
            end,
            case py_nif:decode(Bytes, ?WHOLE_MESSAGE) of
                {ok, _} -> ok;
                {error, _} -> ok
            end
        end
     || _ <- lists:seq(1, 30000)
    ].

mutate(Bytes) ->
    case rand:uniform(4) of
        1 -> rand:bytes(rand:uniform(60));
        2 -> binary:part(Bytes, 0, rand:uniform(byte_size(Bytes)) - 1);
        3 -> <<Bytes/binary, (rand:bytes(rand:uniform(8)))/binary>>;
        4 ->
            At = rand:uniform(byte_size(Bytes)) - 1,
            <<Before:At/binary, _, After/binary>> = Bytes,
            <<Before/binary, (rand:uniform(125) - 1), After/binary>>
    end.

%% covers: guarantee:hostile
hostile_counts(_) ->
    [
        ?assertMatch({error, {corrupt, Check}} when is_binary(Check), py_nif:decode(Bytes, 0))
     || Bytes <-
            [<<>>, <<0>>, <<255>>, <<13, 0:64>>, <<131, 97, 1>>,
             <<108, 16#FFFFFFFF:32, 97, 1>>, <<105, 16#FFFFFFFF:32, 97, 1>>, <<116, 16#FFFFFFFF:32, 97, 1>>,
             <<109, 16#FFFFFFFF:32, 1>>, <<8, 16#FFFFFFFF:32, 1>>, <<9, 16#FFFFFFFF:32, 1>>, <<111, 16#FFFFFFFF:32, 0, 1>>,
             <<10, 1, 0:64, 16:64/little>>, <<10, 1, -1:64, 1:64/little>>, <<10, 9, 0:64, 0:64>>,
             <<108, 1:32, 97, 1, 97, 2>>, <<108, 0:32, 97, 1>>, <<7, 97, 1>>, <<11, 1:16/little, $f, 0, 97, 1>>,
             <<9, 1:32/little, 255>>, <<119, 1, 255>>, <<70, 16#7FF0:16, 0:48>>, <<110, 1, 2, 1>>,
             <<97, 1, 97, 1>>, <<1, 1>>,
             %% Counts that fit one by one but not together.
             iolist_to_binary([<<105, 200:32>> || _ <- lists:seq(1, 50)])]
    ],
    %% A blob longer than a reply may be.
    ?assertMatch({error, _}, py_nif:decode(<<10, 1, 0:64, (1 bsl 62):64/little>>, 0)).

%% ---------------------------------------------------------------------------------------------------------------
%% Whole messages
%% ---------------------------------------------------------------------------------------------------------------

requests(_) ->
    Sqrt = <<4:16/little, "math", 4:16/little, "sqrt", 1:32/little, 70, 16.0/float, 0:32>>,
    [
        ?assertEqual({M, F, Sqrt}, {M, F, request({call, M, F, [16.0], Kwargs})})
     || M <- [math, <<"math">>, "math", ["ma", <<"th">>]], F <- [sqrt, <<"sqrt">>, "sqrt"], Kwargs <- [[], #{}]
    ],
    Kwargs = <<2:32/little, 1:16/little, "a", 97, 1, 1:16/little, "b", 1>>,
    [
        ?assertEqual(<<1:16/little, "m", 1:16/little, "f", 0:32, Kwargs/binary>>, request({call, m, f, [], Given}))
     || Given <- [#{a => 1, b => nil}, [{a, 1}, {<<"b">>, nil}], [{"a", 1}, {b, none}]]
    ],
    ?assertMatch(<<_:10/binary, 1:32/little, 7:16/little, "verbose", 2>>, request({call, m, f, [], [verbose]})),
    Text = <<6:32/little, "x + ", 233/utf8>>,
    [?assertEqual(<<Text/binary, 0:32>>, request({eval, Code, []})) || Code <- [<<"x + ", 233/utf8>>, "x + é", ["x +", $\s | <<"é"/utf8>>]]],
    ?assertEqual(<<Text/binary, 1:32/little, 1:16/little, "x", 97, 1>>, request({eval, "x + é", #{x => 1}})),
    ?assertEqual(Text, request({exec, "x + é"})),
    %% More than a normal scheduler encodes, in bytes or in empty parts.
    Long = binary:copy(<<"x">>, 100000),
    [?assertEqual(<<100000:32/little, Long/binary>>, request({exec, Code})) || Code <- [Long, binary_to_list(Long), [Long]]],
    ?assertEqual(<<1:32/little, "x">>, request({exec, lists:duplicate(100000, []) ++ "x"})).

%% covers: error:badarg
bad_requests(_) ->
    [
        ?assertEqual({R, {error, {badarg, What}}}, {R, request(R)})
     || {What, R} <-
            [{m, {call, 1, f, [], []}}, {m, {call, "", f, [], []}}, {m, {call, <<255>>, f, [], []}}, {m, {call, [a], f, [], []}},
             {m, {call, binary:copy(<<"m">>, 65536), f, [], []}},
             {f, {call, m, {}, [], []}}, {f, {call, m, <<>>, [], []}}, {f, {call, m, '', [], []}},
             {args, {call, m, f, x, []}}, {args, {call, m, f, [1 | 2], []}}, {args, {call, m, f, #{}, []}},
             {kwargs, {call, m, f, [], x}}, {kwargs, {call, m, f, [], [{a, 1} | b]}}, {kwargs, {call, m, f, [], [{a, 1, 2}]}},
             {kwargs, {call, m, f, [], [1]}}, {kwargs, {call, m, f, [], #{1 => 2}}}, {kwargs, {call, m, f, [], [{a, 1}, {"a", 2}]}},
             {kwargs, {call, m, f, [], #{a => 1, <<"a">> => 2}}},
             {code, {eval, x, []}}, {code, {eval, <<255>>, []}}, {code, {exec, [a]}}, {code, {exec, 1}},
             {locals, {eval, "1", x}}, {locals, {eval, "1", #{{} => 1}}},
             {request, {call, m, f, []}}, {request, foo}, {request, {}}]
    ],
    ?assertEqual({error, {unsupported_term, <<1:1>>}}, request({call, m, f, [<<1:1>>], []})),
    ?assertEqual({error, {unsupported_term, <<1:1>>}}, request({call, m, f, [], #{a => <<1:1>>}})).

replies(_) ->
    ?assertEqual({ok, 1}, reply(<<0, 97, 1>>)),
    ?assertEqual({error, interrupted}, reply(<<3>>)),
    ?assertEqual({error, {unsupported_object, int}}, reply([2, refusal(<<109, 3:32, "int">>)])),
    ?assertEqual({error, {unsupported_term, {duplicate_key, 1}}},
        reply([2, <<104, 2, 119, 16, "unsupported_term", 104, 2, 119, 13, "duplicate_key", 97, 1>>])),
    [?assertMatch({error, {corrupt, _}}, reply(R)) || R <- [<<>>, <<4>>, <<0>>, <<3, 0>>, <<0, 97, 1, 97>>, <<1>>, <<2>>, <<255, 1>>]].

refusal(Type) -> <<104, 2, 119, 18, "unsupported_object", Type/binary>>.

%% covers: option:error
exceptions(_) ->
    KeyError = [text(<<"KeyError">>), text(<<"builtins">>), text(<<"k">>), text(<<>>)],
    ValueError = [text(<<"ValueError">>), text(<<"builtins">>), text(<<"no é"/utf8>>), text(<<"Trace">>)],
    Plain = [1, ValueError, 0, <<0:32>>],
    Chained = [1, ValueError, 1, KeyError, 1, ValueError, 0, <<2:32/little>>, text(<<"n1">>), text(<<"n2">>)],
    ?assertEqual({error, {'ValueError', "no é"}}, reply(Plain)),
    ?assertEqual({error, {'ValueError', "no é"}}, reply(Chained)),
    Innermost = #{type => 'ValueError', module => <<"builtins">>, message => <<"no é"/utf8>>, traceback => <<"Trace">>,
        cause => none, notes => []},
    ?assertEqual({error, Innermost}, reply(Plain, ?ERROR_MAP)),
    Middle = #{type => 'KeyError', module => <<"builtins">>, message => <<"k">>, traceback => <<>>, cause => Innermost, notes => []},
    ?assertEqual({error, Innermost#{cause := Middle, notes := [<<"n1">>, <<"n2">>]}}, reply(Chained, ?ERROR_MAP)),
    [
        ?assertMatch({error, {corrupt, _}}, reply(R))
     || R <- [[1, ValueError], [1, ValueError, 2, <<0:32>>], [1, ValueError, 0, <<1:32/little>>], [Plain, 0], [1, text(<<255>>)],
             [1, KeyError, 0, <<16#FFFFFFFF:32>>]]
    ].

%% covers: error:exception
exception_names_are_bounded(_) ->
    %% Types that the node knows keep their names when the allowance is used up; it is of the order of a thousand.
    Names = [<<"CodecError", (integer_to_binary(I))/binary>> || I <- lists:seq(1, 3000)],
    Types = [raised(Name) || Name <- Names],
    ?assert(lists:member('PythonError', Types)),
    ?assertEqual('PythonError', lists:last(Types)),
    ?assertEqual('ValueError', raised(<<"ValueError">>)),
    ?assertEqual(hd(Types), raised(hd(Names))),
    ?assertEqual('PythonError', raised(binary:copy(<<"E">>, 256))).

raised(Name) ->
    {error, {Type, "m"}} = reply([1, text(Name), text(<<"mod">>), text(<<"m">>), text(<<>>), 0, <<0:32>>]),
    Type.

text(Text) -> [<<(byte_size(Text)):32/little>>, Text].

reply(Bytes) -> reply(Bytes, 0).

reply(Bytes, Options) -> py_nif:decode(iolist_to_binary(Bytes), Options bor ?WHOLE_MESSAGE).

request(Request) -> py_nif:encode(Request, ?WHOLE_MESSAGE).

%% ---------------------------------------------------------------------------------------------------------------
%% Generator and model
%% ---------------------------------------------------------------------------------------------------------------

loop(T) -> loop(T, 0).

loop(T, Options) ->
    case py_nif:encode(T, Options) of
        Bytes when is_binary(Bytes) -> py_nif:decode(Bytes, 0);
        Error -> Error
    end.

seed() ->
    Seed = erlang:unique_integer() bxor erlang:system_time(),
    ct:log("seed ~p", [Seed]),
    Seed.

%% What comes back from the loop with special tuples on.
expected({float, F}) when F =:= nan; F =:= infinity; F =:= neg_infinity -> F;
expected({bytes, B}) when is_binary(B) -> B;
expected({buffer, B}) when is_binary(B) -> B;
expected({str, B}) when is_binary(B) -> B;
expected({tuple, T}) when is_tuple(T) -> list_to_tuple([expected(E) || E <- tuple_to_list(T)]);
expected(T) when is_list(T) -> [expected(E) || E <- T];
expected(T) when is_tuple(T) -> list_to_tuple([expected(E) || E <- tuple_to_list(T)]);
expected(T) when is_map(T) -> maps:from_list([{expected(K), expected(V)} || {K, V} <- maps:to_list(T)]);
expected(T) -> nones(T).

%% What comes back with special tuples off.
nones(T) when T =:= nil; T =:= undefined -> none;
nones(T) when is_list(T) -> [nones(E) || E <- T];
nones(T) when is_tuple(T) -> list_to_tuple([nones(E) || E <- tuple_to_list(T)]);
nones(T) when is_map(T) -> maps:from_list([{nones(K), nones(V)} || {K, V} <- maps:to_list(T)]);
nones(T) -> T.

%% Keys are integers, so that no two of them become one.
term(Depth) ->
    case rand:uniform(if Depth > 0 -> 14; true -> 8 end) of
        1 -> integer();
        2 -> rand:normal() * 1.0e10;
        3 -> rand:bytes(rand:uniform(80) - 1);
        4 -> lists:nth(rand:uniform(8), [none, nil, undefined, true, false, ok, 'é', '日本']);
        5 -> {float, lists:nth(rand:uniform(3), [nan, infinity, neg_infinity])};
        6 -> {lists:nth(rand:uniform(2), [bytes, buffer]), rand:bytes(rand:uniform(80) - 1)};
        7 -> {str, unicode:characters_to_binary([rand:uniform(16#D7FF) || _ <- lists:seq(1, rand:uniform(10))])};
        8 -> lists:nth(rand:uniform(4), [self(), make_ref(), fun erlang:self/0, {}]);
        9 -> rand:bytes(16000 + rand:uniform(800));
        10 -> {tuple, list_to_tuple(terms(Depth))};
        11 -> list_to_tuple(terms(Depth));
        12 -> maps:from_list([{integer(), term(Depth - 1)} || _ <- lists:seq(1, rand:uniform(50))]);
        _ -> terms(Depth)
    end.

terms(Depth) -> [term(Depth - 1) || _ <- lists:seq(1, rand:uniform(6) - 1)].

%% Terms whose encoding is External Term Format to the byte: no atoms, no lists of bytes, no large binaries.
plain_term(Depth) ->
    case rand:uniform(if Depth > 0 -> 6; true -> 3 end) of
        1 -> integer();
        2 -> rand:normal();
        3 -> rand:bytes(rand:uniform(80) - 1);
        4 -> [<<"no string">> | [plain_term(Depth - 1) || _ <- lists:seq(1, rand:uniform(6) - 1)]];
        5 -> list_to_tuple([plain_term(Depth - 1) || _ <- lists:seq(1, rand:uniform(6) - 1)]);
        6 -> maps:from_list([{integer(), plain_term(Depth - 1)} || _ <- lists:seq(1, rand:uniform(20))])
    end.

integer() ->
    Sign = lists:nth(rand:uniform(2), [1, -1]),
    Sign * (rand:uniform(1 bsl rand:uniform(200)) - 1).
