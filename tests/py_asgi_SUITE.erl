%% ASGI: what the specification asks of a server, one application without a framework for each point.
-module(py_asgi_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        {group, requests}, {group, async_pool}, {group, ordinary_worker}, lifespan_each_worker, lifespan_preload, lifespan_shutdown, bound,
        not_started
    ].

groups() ->
    Common = [
        response, scope_types, scope_defaults, scope_forms, scope_shared, paths, bad_arguments, callables, runner, request_body, large_bodies,
        response_pieces, no_body, application_errors, bad_headers, error_after_response, after_response, background, run_async,
        concurrent, timeout, caller_death, cancel, lifespan_state, lifespan_unsupported, lifespan_failed, lifespan_once,
        stream, stream_order, stream_errors, stream_body, stream_body_unasked, stream_credit, stream_unlimited, stream_cancel, stream_consumer_death,
        stream_timeout, stream_worker_death, stream_two, stream_head
    ],
    [{requests, [], [build_scope, quoting]}, {async_pool, [], Common}, {ordinary_worker, [], Common -- [stream_worker_death]}].

init_per_suite(Config) ->
    true = register(lifespan_test, spawn(fun mute/0)),
    Config.

end_per_suite(_Config) ->
    whereis(lifespan_test) ! stop.

%% Stands for the test while no test wants to know.
mute() ->
    receive stop -> ok; _ -> mute() end.

init_per_group(requests, Config) ->
    Config;
init_per_group(async_pool, Config) ->
    ok = py_test:start([{paths, [py_test:apps()]}]),
    [{pool, async} | Config];
init_per_group(ordinary_worker, Config) ->
    ok = py_test:start([{paths, [py_test:apps()]}, {num_workers, 1}, {num_executors, 2}]),
    [{pool, default} | Config].

end_per_group(requests, _Config) ->
    ok;
end_per_group(_Group, _Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    case whereis(py_sup) of
        undefined -> ok;
        _ -> py_test:settled()
    end,
    ok.

%% Tells the application something.
flag(Config, Name, Value) ->
    {ok, none} = py:call(asgi_raw, flag, [Name, Value], #{}, #{pool => ?config(pool, Config)}),
    ok.

ask(Config, Function, Args) ->
    {ok, Value} = py:call(asgi_raw, Function, Args, #{}, #{pool => ?config(pool, Config)}),
    Value.

run(Config, App, Scope) ->
    run(Config, App, Scope, <<>>, #{}).

run(Config, App, Scope, Body, Options) ->
    py_asgi:run(asgi_raw, App, Scope, Body, Options#{pool => ?config(pool, Config)}).

stream(Config, App, Scope, Body, Options) ->
    {ok, Ref} = py_asgi:run_stream(asgi_raw, App, Scope, Body, Options#{pool => ?config(pool, Config)}),
    true = is_reference(Ref),
    Ref.

%% All events of a stream up to its end.
events(Ref) ->
    case event(Ref) of
        done -> [done];
        {error, _} = Error -> [Error];
        Event -> [Event | events(Ref)]
    end.

event(Ref) ->
    receive {py_asgi, Ref, Event} -> Event end.

bodies(Events) ->
    iolist_to_binary([B || {body, B} <- Events]).

said(What) ->
    receive What -> ok end.

%% Scopes

%% covers: py_asgi:build_scope/1, py_asgi:build_scope/2
build_scope(_) ->
    ?assertEqual(
        #{
            type => <<"http">>, asgi => #{version => <<"3.0">>, spec_version => <<"2.3">>}, http_version => <<"1.1">>, method => <<"GET">>,
            scheme => <<"http">>, root_path => <<>>, query_string => <<>>, headers => [], path => <<"/">>, raw_path => <<"/">>
        },
        py_asgi:build_scope(#{})
    ),
    #{method := <<"POST">>, path := <<"/a">>, raw_path := <<"/a">>, scheme := <<"https">>, <<"mine">> := 1} =
        py_asgi:build_scope(#{<<"method">> => <<"POST">>, "path" => <<"/a">>, <<"mine">> => 1}, #{<<"scheme">> => <<"https">>, method => <<"PUT">>}),
    #{raw_path := <<"/raw">>} = Complete = py_asgi:build_scope(#{path => "/a", raw_path => <<"/raw">>}),
    Complete = py_asgi:build_scope(Complete),
    {error, {badarg, scope}} = py_asgi:build_scope([]),
    {error, {badarg, scope}} = py_asgi:build_scope(#{1 => 2}).

%% covers: py_asgi:build_scope/1
quoting(_) ->
    [
        begin
            #{raw_path := Raw} = py_asgi:build_scope(#{path => Path}),
            #{path := Path} = py_asgi:build_scope(#{raw_path => Raw})
        end
     || {Path, Raw} <- [
            {<<"/">>, <<"/">>},
            {<<"/a-b_c.d~e/f;g=h,i@j:k!$&'()*+">>, <<"/a-b_c.d~e/f;g=h,i@j:k!$&'()*+">>},
            {<<"/a b">>, <<"/a%20b">>},
            {<<"/grün"/utf8>>, <<"/gr%C3%BCn">>},
            {<<"/100%">>, <<"/100%25">>},
            {<<"/a?b#c">>, <<"/a%3Fb%23c">>}
        ]
    ],
    #{path := <<"/a%zz%">>} = py_asgi:build_scope(#{raw_path => <<"/a%zz%">>}),
    #{path := <<"/Z">>} = py_asgi:build_scope(#{raw_path => <<"/%5a">>}),
    #{raw_path := <<"/gr%C3%BCn">>} = py_asgi:build_scope(#{path => "/grün"}).

%% covers: py_asgi:run/4, py_asgi:run/5
response(Config) ->
    {ok, {200, [{<<"x-pieces">>, <<"1">>}, {<<"x-largest">>, <<"3">>}], <<"abc">>}} = run(Config, echo, #{}, <<"abc">>, #{}),
    {ok, {200, _, <<"abcd">>}} = run(Config, echo, #{}, ["ab", [<<"c">>, $d]], #{timeout => 5000}),
    {ok, {200, _, <<>>}} = py_asgi:run(asgi_raw, echo, #{}, <<>>),
    {ok, {200, _, <<>>}} = py_asgi:run(asgi_raw, echo, #{}, <<>>, 5000).

%% covers: py_asgi:run/5
scope_types(Config) ->
    {ok, {200, Headers, <<>>}} = run(Config, remember, #{
        method => post, path => <<"/grün"/utf8>>, query_string => <<"a=", 255>>, root_path => "/root", scheme => https, http_version => "1.0",
        headers => [{<<"HOST">>, <<"a">>}, [<<"X-Bytes">>, <<255, 1>>], {"Accept", "*/*"}, {'X-Atom', 5}], client => {{127, 0, 0, 1}, 1234},
        server => [<<"host">>, 80], extra => #{a => [1, <<"text">>]}
    }),
    ?assertEqual([{<<"host">>, <<"a">>}, {<<"x-bytes">>, <<255, 1>>}, {<<"accept">>, <<"*/*">>}, {<<"x-atom">>, <<"5">>}], Headers),
    ?assertEqual(
        #{
            <<"method">> => <<"'POST'">>, <<"path">> => <<"'/grün'"/utf8>>, <<"raw_path">> => <<"b'/gr%C3%BCn'">>,
            <<"query_string">> => <<"b'a=\\xff'">>, <<"root_path">> => <<"'/root'">>, <<"scheme">> => <<"'https'">>,
            <<"http_version">> => <<"'1.0'">>, <<"client">> => <<"('127.0.0.1', 1234)">>, <<"server">> => <<"('host', 80)">>,
            <<"extra">> => <<"{'a': [1, 'text']}">>, <<"state">> => <<"{}">>
        },
        ask(Config, scope, [method, path, raw_path, query_string, root_path, scheme, http_version, client, server, extra, state])
    ).

%% covers: py_asgi:run/4
scope_defaults(Config) ->
    {ok, {200, [], <<>>}} = run(Config, remember, #{}),
    ?assertEqual(
        #{
            <<"type">> => <<"'http'">>, <<"asgi">> => <<"{'spec_version': '2.3', 'version': '3.0'}">>, <<"http_version">> => <<"'1.1'">>,
            <<"method">> => <<"'GET'">>, <<"scheme">> => <<"'http'">>, <<"root_path">> => <<"''">>, <<"query_string">> => <<"b''">>,
            <<"headers">> => <<"[]">>, <<"path">> => <<"'/'">>, <<"raw_path">> => <<"b'/'">>, <<"client">> => <<"None">>
        },
        ask(Config, scope, [type, asgi, http_version, method, scheme, root_path, query_string, headers, path, raw_path, client])
    ).

%% covers: py_asgi:run/5
scope_forms(Config) ->
    {ok, {200, [{<<"a">>, <<"1">>}], <<>>}} = run(Config, remember, #{
        <<"path">> => <<"/binary">>, "method" => "put", <<"headers">> => [["A", "1"]], <<"custom key">> => none, client => none, server => {"unix", none},
        state => #{given => 1}, asgi => #{version => <<"3.0">>, spec_version => <<"2.1">>}
    }),
    ?assertEqual(
        #{
            <<"path">> => <<"'/binary'">>, <<"method">> => <<"'PUT'">>, <<"custom key">> => <<"None">>, <<"client">> => <<"None">>,
            <<"server">> => <<"('unix', None)">>, <<"state">> => <<"{'given': 1}">>, <<"asgi">> => <<"{'spec_version': '2.1', 'version': '3.0'}">>
        },
        ask(Config, scope, [path, method, <<"custom key">>, client, server, state, asgi])
    ).

%% covers: py_asgi:run/5
scope_shared(Config) ->
    [
        begin
            {ok, {200, _, _}} = run(Config, remember, #{headers => [{<<"A">>, <<"b">>}], <<"path">> => <<"/x">>}),
            true = ask(Config, interned, []),
            true = ask(Config, asgi_is_shared, [])
        end
     || _ <- lists:seq(1, 3)
    ].

%% covers: py_asgi:run/5
paths(Config) ->
    {ok, _} = run(Config, remember, #{raw_path => <<"/caf%C3%A9%20x">>}),
    #{<<"path">> := <<"'/café x'"/utf8>>, <<"raw_path">> := <<"b'/caf%C3%A9%20x'">>} = ask(Config, scope, [path, raw_path]),
    %% What is no UTF-8 is replaced, as servers do.
    {ok, _} = run(Config, remember, #{raw_path => <<"/a%ff%feb">>}),
    #{<<"path">> := <<"'/a\\ufffd\\ufffdb'">>} = maps:map(fun(_, V) -> ascii(V) end, ask(Config, scope, [path])).

ascii(Text) ->
    << <<(case C of 16#fffd -> <<"\\ufffd">>; _ -> <<C/utf8>> end)/binary>> || <<C/utf8>> <= Text >>.

%% covers: py_asgi:run/5, py_asgi:run_async/5, py_asgi:run_stream/5
bad_arguments(Config) ->
    OsPids = py_test:os_pids(),
    [
        {error, Reason} = Run(Module, App, Scope, Body, Options)
     || {Reason, Module, App, Scope, Body, Options} <- [
            {{badarg, module}, 1, echo, #{}, <<>>, #{}},
            {{badarg, module}, undefined, echo, #{}, <<>>, #{}},
            {{badarg, callable}, asgi_raw, {}, #{}, <<>>, #{}},
            {{badarg, callable}, asgi_raw, [], #{}, <<>>, #{}},
            {{badarg, scope}, asgi_raw, echo, [], <<>>, #{}},
            {{badarg, scope}, asgi_raw, echo, #{{} => 1}, <<>>, #{}},
            {{badarg, headers}, asgi_raw, echo, #{headers => x}, <<>>, #{}},
            {{badarg, headers}, asgi_raw, echo, #{headers => [{a}]}, <<>>, #{}},
            {{badarg, headers}, asgi_raw, echo, #{headers => [{a, {}}]}, <<>>, #{}},
            {{badarg, path}, asgi_raw, echo, #{path => {}}, <<>>, #{}},
            {{badarg, type}, asgi_raw, echo, #{type => <<"websocket">>}, <<>>, #{}},
            {{badarg, client}, asgi_raw, echo, #{client => "host"}, <<>>, #{}},
            {{badarg, server}, asgi_raw, echo, #{server => {{1, 2, 3, x}, 1}}, <<>>, #{}},
            {{badarg, body}, asgi_raw, echo, #{}, [x], #{}},
            {{badarg, body}, asgi_raw, echo, #{}, 17, #{}},
            {{bad_option, colour}, asgi_raw, echo, #{}, <<>>, #{colour => red}},
            {{bad_option, return}, asgi_raw, echo, #{}, <<>>, #{return => ref}},
            {{bad_option, factory}, asgi_raw, echo, #{}, <<>>, #{factory => 1}}
        ],
        Run <- [fun py_asgi:run/5, fun py_asgi:run_async/5, fun py_asgi:run_stream/5]
    ],
    {error, {badarg, timeout}} = py_asgi:run(asgi_raw, echo, #{}, <<>>, -1),
    {error, {badarg, runner}} = py_asgi:run(asgi_raw, echo, #{}, <<>>, #{runner => 1}),
    {error, {badarg, body}} = py_asgi:run(asgi_raw, echo, #{}, stream, #{}),
    [{error, {bad_option, credit}} = py_asgi:run_stream(asgi_raw, echo, #{}, <<>>, #{credit => C}) || C <- [0, -1, many]],
    {error, {bad_option, runner}} = py_asgi:run_stream(asgi_raw, echo, #{}, <<>>, #{runner => asgi_raw}),
    {error, {unsupported_term, _}} = run(Config, echo, #{method => <<255>>}),
    {error, {badarg, pool}} = py_asgi:run(asgi_raw, echo, #{}, <<>>, #{pool => nowhere}),
    OsPids = py_test:os_pids().

%% covers: py_asgi:run/5
callables(Config) ->
    [{ok, {200, _, <<"x">>}} = py_asgi:run(M, C, #{}, <<"x">>, #{pool => ?config(pool, Config)}) || M <- [asgi_raw, <<"asgi_raw">>, "asgi_raw"], C <- [echo, <<"echo">>, "Nested.app"]],
    [{ok, {200, _, <<"x">>}} = run(Config, factory, #{}, <<"x">>, #{factory => true}) || _ <- [1, 2]],
    {ok, 1} = py:eval(<<"len(__import__('asgi_raw').made)">>, #{}, #{pool => ?config(pool, Config)}),
    {error, {'ModuleNotFoundError', _}} = py_asgi:run(no_such_module, app, #{}, <<>>, #{pool => ?config(pool, Config)}),
    {error, {'AttributeError', _}} = run(Config, missing, #{}),
    {error, #{type := 'AttributeError', traceback := _}} = run(Config, missing, #{}, <<>>, #{error => map}),
    %% A module that could not be imported is tried again.
    {error, {'ModuleNotFoundError', _}} = py_asgi:run(no_such_module, app, #{}, <<>>, #{pool => ?config(pool, Config)}).

%% covers: py_asgi:run/5
runner(Config) ->
    {ok, {201, [{<<"x-module">>, <<"some_module">>}, {<<"x-name">>, <<"some_name">>}], <<"/p abc">>}} =
        py_asgi:run(some_module, some_name, #{path => <<"/p">>}, <<"abc">>, #{runner => asgi_raw, pool => ?config(pool, Config)}),
    %% A plain function does not hold up the loop.
    {ok, {200, [], <<"name False {b'a': b'1'}">>}} =
        py_asgi:run(module, name, #{headers => [{<<"A">>, <<"1">>}]}, <<>>, #{runner => <<"asgi_plain_runner">>, pool => ?config(pool, Config)}),
    {error, {'ModuleNotFoundError', _}} = run(Config, echo, #{}, <<>>, #{runner => no_such_runner}).

%% Bodies

%% covers: py_asgi:run/5
request_body(Config) ->
    [
        begin
            Body = rand:bytes(Size),
            {ok, {200, Headers, Body}} = run(Config, echo, #{}, Body, #{}),
            {_, Pieces} = lists:keyfind(<<"x-pieces">>, 1, Headers),
            {_, Largest} = lists:keyfind(<<"x-largest">>, 1, Headers),
            ?assert(binary_to_integer(Largest) =< 65536),
            ?assertEqual(max(1, (Size + 65535) div 65536), binary_to_integer(Pieces))
        end
     || Size <- [0, 1, 1000, 16384, 65535, 65536, 65537, 131072, 500000]
    ].

%% covers: py_asgi:run/5
large_bodies(Config) ->
    Body = binary:copy(<<"0123456789abcdef">>, 2_000_000),
    {ok, {200, _, Echoed}} = run(Config, echo, #{}, [Body], #{}),
    ?assert(Echoed =:= Body).

%% covers: py_asgi:run/5
response_pieces(Config) ->
    Expected = iolist_to_binary([[integer_to_list(N), $,] || N <- lists:seq(0, 9999)] ++ ["end"]),
    {ok, {200, [], Expected}} = run(Config, pieces, #{query_string => <<"10000">>}),
    {ok, {200, [], <<"end">>}} = run(Config, pieces, #{query_string => <<"0">>}).

%% covers: py_asgi:run/5
no_body(Config) ->
    {ok, {200, _, <<>>}} = run(Config, echo, #{method => <<"HEAD">>}, <<"abc">>, #{}),
    {ok, {200, [{<<"content-length">>, <<"4">>}], <<>>}} = run(Config, trouble, #{method => head, path => <<"/length">>}),
    [{ok, {S, _, <<>>}} = run(Config, status, #{query_string => integer_to_binary(S)}) || S <- [204, 304]],
    [{ok, {S, _, <<"some content">>}} = run(Config, status, #{query_string => integer_to_binary(S)}) || S <- [200, 201, 418, 500, 599]],
    [{error, {'ValueError', _}} = run(Config, status, #{query_string => integer_to_binary(S)}) || S <- [0, 100, 199, 1000]].

%% Errors

%% covers: py_asgi:run/5
application_errors(Config) ->
    [
        ?assertEqual({Path, {error, {Type, Text}}}, {Path, run(Config, trouble, #{path => <<"/", Path/binary>>})})
     || {Path, Type, Text} <- [
            {<<"raise">>, 'ValueError', "before start"},
            {<<"exit">>, 'SystemExit', "before start"},
            {<<"nothing">>, 'RuntimeError', "ASGI callable returned without starting response."},
            {<<"start_only">>, 'RuntimeError', "ASGI callable returned without completing response."},
            {<<"body_first">>, 'RuntimeError', "Expected ASGI message 'http.response.start', but got 'http.response.body'."},
            {<<"unknown">>, 'RuntimeError', "Expected ASGI message 'http.response.start', but got 'http.response.unknown'."},
            {<<"push">>, 'RuntimeError', "Expected ASGI message 'http.response.start', but got 'http.response.push'."},
            {<<"twice">>, 'RuntimeError', "Expected ASGI message 'http.response.body', but got 'http.response.start'."},
            {<<"raise_started">>, 'ValueError', "after start"},
            {<<"raise_in_body">>, 'ValueError', "in body"},
            {<<"length_long">>, 'RuntimeError', "Response content longer than Content-Length"},
            {<<"length_short">>, 'RuntimeError', "Response content shorter than Content-Length"},
            {<<"text">>, 'TypeError', "memoryview: a bytes-like object is required, not 'str'"}
        ]
    ],
    {ok, {200, _, <<"abcd">>}} = run(Config, trouble, #{path => <<"/length">>}).

%% covers: py_asgi:run/5
bad_headers(Config) ->
    {ok, {200, [{<<"x">>, <<"fine">>}], <<>>}} = run(Config, bad_header, #{query_string => <<"fine">>}),
    {error, {'ValueError', _}} = run(Config, bad_header, #{query_string => <<"a+Set-Cookie:b">>}),
    {error, {'TypeError', _}} = run(Config, text_header, #{}).

%% The client has its response by then.
%% covers: py_asgi:run/5
error_after_response(Config) ->
    [{ok, {200, [], <<"abcd">>}} = run(Config, trouble, #{path => Path}) || Path <- [<<"/raise_done">>, <<"/again">>]].

%% covers: py_asgi:run/5
after_response(Config) ->
    {ok, {200, _, <<"waits">>}} = run(Config, after_response, #{to => self()}),
    said({<<"after">>, <<"http.disconnect">>, <<"http.disconnect">>}).

%% covers: py_asgi:run/5
background(Config) ->
    flag(Config, go, false),
    {ok, {200, _, <<"done">>}} = run(Config, background, #{to => self()}),
    [] = py_test:mailbox(),
    flag(Config, go, true),
    said(<<"background">>).

%% covers: py_asgi:run_async/4, py_asgi:run_async/5, py_asgi:await_response/1, py_asgi:await_response/2
run_async(Config) ->
    Options = #{pool => ?config(pool, Config)},
    {ok, Ref} = py_asgi:run_async(asgi_raw, echo, #{}, <<"a">>, Options),
    {ok, {200, _, <<"a">>}} = py_asgi:await_response(Ref),
    {ok, Ref2} = py_asgi:run_async(asgi_raw, hang, #{to => self()}, <<"a">>, Options),
    said(<<"started">>),
    {error, timeout} = py_asgi:await_response(Ref2, 10),
    cancelled(),
    {ok, Ref3} = py_asgi:run_async(asgi_raw, trouble, #{path => <<"/raise">>}, <<>>, Options),
    {error, {'ValueError', "before start"}} = py_asgi:await_response(Ref3, 5000),
    {ok, Ref4} = py_asgi:run_async(asgi_raw, echo, #{}, <<"b">>),
    receive {py_result, Ref4, {200, _, <<"b">>}} -> ok end,
    {ok, Ref5} = py_asgi:run_async(asgi_raw, echo, #{}, <<"c">>, 5000),
    {ok, {200, _, <<"c">>}} = py:await(Ref5).

%% All of them are in the worker at once, or none would answer.
%% covers: py_asgi:run_async/5
concurrent(Config) ->
    N = 500,
    Scope = #{query_string => integer_to_binary(N)},
    Refs = [
        {I, element(2, py_asgi:run_async(asgi_raw, meet, Scope#{path => I}, <<>>, #{pool => ?config(pool, Config)}))}
     || I <- [<<"/", (integer_to_binary(J))/binary>> || J <- lists:seq(1, N)]
    ],
    [{ok, {200, _, I}} = py_asgi:await_response(Ref) || {I, Ref} <- Refs].

cancelled() ->
    said(<<"cancelled">>),
    said(<<"finally">>).

%% covers: py_asgi:run/5
timeout(Config) ->
    {error, timeout} = run(Config, hang, #{to => self()}, <<>>, #{timeout => 500}),
    said(<<"started">>),
    cancelled(),
    {ok, {200, _, <<"x">>}} = run(Config, echo, #{}, <<"x">>, #{}).

%% covers: py_asgi:run/5
caller_death(Config) ->
    Self = self(),
    Pid = spawn(fun() -> run(Config, hang, #{to => Self}) end),
    said(<<"started">>),
    exit(Pid, kill),
    cancelled().

%% covers: py_asgi:cancel/1
cancel(Config) ->
    [
        begin
            {ok, Ref} = py_asgi:run_async(asgi_raw, hang, #{to => self(), path => Path}, <<>>, #{pool => ?config(pool, Config)}),
            said(<<"started">>),
            ok = Cancel(Ref),
            cancelled()
        end
     || _ <- lists:seq(1, 20), Cancel <- [fun py_asgi:cancel/1, fun py:cancel/1], Path <- [<<"/">>, <<"/started">>]
    ].

%% Lifespan

listen() ->
    unregister(lifespan_test),
    true = register(lifespan_test, self()).

deaf() ->
    unregister(lifespan_test),
    true = register(lifespan_test, spawn(fun mute/0)).

%% The state is shared, but each request has a dict of its own.
%% covers: py_asgi:run/5
lifespan_state(Config) ->
    {ok, {200, _, <<"1 [] None">>}} = run(Config, 'lifespan_good', #{}),
    {ok, {200, _, <<"1 [1] None">>}} = run(Config, 'lifespan_good', #{}),
    {ok, {200, _, <<"1 [1, 2] given">>}} = run(Config, 'lifespan_good', #{state => #{own => given}}).

%% covers: py_asgi:run/5
lifespan_unsupported(Config) ->
    [{ok, {200, _, <<"0 None None">>}} = run(Config, App, #{}) || App <- [lifespan_unsupported, lifespan_returns], _ <- [1, 2]].

%% covers: error:lifespan_failed, py_asgi:run/5, py_asgi:run_stream/5
lifespan_failed(Config) ->
    flag(Config, fails, true),
    [{error, {lifespan_failed, "no database"}} = run(Config, lifespan_fails, #{}) || _ <- [1, 2]],
    Ref = stream(Config, lifespan_fails, #{}, <<>>, #{}),
    [{error, {lifespan_failed, "no database"}}] = events(Ref),
    %% The next request tries again.
    flag(Config, fails, fine),
    {ok, {200, _, <<"4 [] None">>}} = run(Config, lifespan_fails, #{}),
    {ok, {200, _, <<"4 [1] None">>}} = run(Config, lifespan_fails, #{}).

%% Requests that come while the application starts wait for that; one that is gone by then does not end the start.
%% covers: py_asgi:run_async/5
lifespan_once(Config) ->
    listen(),
    flag(Config, waits, wait),
    Options = #{pool => ?config(pool, Config)},
    Refs = [element(2, py_asgi:run_async(asgi_raw, lifespan_waits, #{}, <<>>, Options)) || _ <- lists:seq(1, 20)],
    said({<<"startup">>, <<"waits">>}),
    ok = py:cancel(hd(Refs)),
    flag(Config, waits, go),
    [{ok, {200, _, <<"1 ", _/binary>>}} = py_asgi:await_response(Ref) || Ref <- tl(Refs)],
    deaf().

%% covers: guarantee:asgi_lifespan
lifespan_each_worker(_) ->
    ok = py_test:start([{paths, [py_test:apps()]}, {num_async_workers, 2}]),
    listen(),
    {ok, _} = py_asgi:run(asgi_raw, meet, #{query_string => <<"1">>}, <<>>),
    2 = length(py_test:os_pids(async)),
    %% Load spreads requests that wait over both.
    Refs = [element(2, py_asgi:run_async(asgi_raw, lifespan_slow, #{}, <<>>)) || _ <- lists:seq(1, 50)],
    [{ok, {200, _, <<"1 ", _/binary>>}} = py_asgi:await_response(Ref) || Ref <- Refs],
    Startups = startups(),
    ?assert(Startups =:= 1 orelse Startups =:= 2),
    deaf(),
    py_test:stop().

%% The worker serves when its applications have started; one that fails keeps it out.
%% covers: config:preload
lifespan_preload(_) ->
    listen(),
    Preload = [<<"import asgi_raw">>, {asgi, asgi_raw, 'lifespan_good'}, {asgi, <<"asgi_raw">>, "Nested.app"}],
    ok = py_test:start([{paths, [py_test:apps()]}, {preload, Preload}]),
    [] = py_test:mailbox(),
    {ok, _} = py:call(math, sqrt, [16], #{}, #{pool => async}),
    said({<<"startup">>, <<"good">>}),
    {ok, {200, _, <<"1 [] None">>}} = py_asgi:run(asgi_raw, 'lifespan_good', #{}, <<>>),
    {error, {worker_start_failed, Text}} =
        py_pool:start_pool(failing, #{kind => async, num_workers => 1, preload => {asgi, asgi_raw, lifespan_fails}}),
    ?assertNotEqual(nomatch, string:find(Text, "start of asgi_raw.lifespan_fails (option preload) failed: lifespan_failed: no database")),
    py_test:stop(),
    said({<<"shutdown">>, <<"good">>, true}),
    said({<<"down">>, <<"good">>}),
    flush(),
    deaf().

flush() ->
    receive
        {<<"startup">>, <<"fails">>} -> flush()
    after 0 ->
        ok
    end.

%% covers: guarantee:asgi_lifespan
lifespan_shutdown(_) ->
    ok = py_test:start([{paths, [py_test:apps()]}, {num_workers, 1}]),
    listen(),
    [
        begin
            {ok, {200, _, _}} = py_asgi:run(asgi_raw, lifespan_slow, #{}, <<>>, #{pool => Pool}),
            said({<<"startup">>, <<"slow">>})
        end
     || Pool <- [async, default]
    ],
    %% What it does then is waited for.
    ok = py_pool:stop_pool(async),
    said({<<"shutdown">>, <<"slow">>, true}),
    said({<<"down">>, <<"slow">>}),
    py_test:stop(),
    said({<<"shutdown">>, <<"slow">>, true}),
    said({<<"down">>, <<"slow">>}),
    deaf().

%% Where the calling process is bound, there its applications run.
%% covers: py_asgi:run/4, py_asgi:run_stream/5, py:bind/0
bound(_) ->
    ok = py_test:start([{paths, [py_test:apps()]}, {num_workers, 2}]),
    ok = py:bind(),
    ok = py:exec(<<"import asgi_raw, os\nasgi_raw.flags['mine'] = True">>),
    {ok, {200, _, <<"x">>}} = py_asgi:run(asgi_raw, echo, #{}, <<"x">>),
    {ok, {200, [], <<"end">>}} = py_asgi:run(asgi_raw, mine, #{}, <<>>),
    {ok, Ref} = py_asgi:run_stream(asgi_raw, mine, #{}, <<>>, #{}),
    [{start, 200, []}, {body, <<"end">>}, done] = events(Ref),
    ok = py:unbind(),
    {error, {'AssertionError', _}} = py_asgi:run(asgi_raw, mine, #{}, <<>>),
    py_test:stop().

not_started(_) ->
    {error, not_started} = py_asgi:run(asgi_raw, echo, #{}, <<>>),
    {error, not_started} = py_asgi:run_stream(asgi_raw, echo, #{}, <<>>, #{}),
    {ok, Ref} = py_asgi:run_async(asgi_raw, echo, #{}, <<>>),
    {error, not_started} = py_asgi:await_response(Ref),
    ok = py_asgi:feed(make_ref(), <<>>),
    ok = py_asgi:credit(make_ref(), 1).

startups() ->
    receive
        {<<"startup">>, <<"slow">>} -> 1 + startups()
    after 0 ->
        0
    end.

%% Stream

%% covers: py_asgi:run_stream/5, message:py_asgi
stream(Config) ->
    [{start, 200, []}, {body, <<"0,">>}, {body, <<"1,">>}, {body, <<"end">>}, done] =
        events(stream(Config, pieces, #{query_string => <<"2">>}, <<>>, #{})),
    Body = rand:bytes(300000),
    [{start, 200, Headers}, {body, Body}, done] = events(stream(Config, echo, #{}, Body, #{})),
    {_, <<"5">>} = lists:keyfind(<<"x-pieces">>, 1, Headers),
    {ok, Ref} = py_asgi:run_stream(asgi_raw, echo, #{}, <<"a">>, 5000),
    [{start, 200, _}, {body, <<"a">>}, done] = events(Ref).

%% covers: py_asgi:run_stream/5
stream_order(Config) ->
    Events = events(stream(Config, pieces, #{query_string => <<"20000">>}, <<>>, #{})),
    {start, 200, []} = hd(Events),
    done = lists:last(Events),
    20003 = length(Events),
    Expected = iolist_to_binary([[integer_to_list(N), $,] || N <- lists:seq(0, 19999)] ++ ["end"]),
    ?assert(bodies(Events) =:= Expected).

%% Before the first of the body nothing has been said, so that an error can still be answered.
%% covers: py_asgi:run_stream/5
stream_errors(Config) ->
    Run = fun(Path) -> events(stream(Config, trouble, #{path => Path}, <<>>, #{})) end,
    [{error, {'ValueError', "before start"}}] = Run(<<"/raise">>),
    [{error, {'SystemExit', "before start"}}] = Run(<<"/exit">>),
    [{error, {'ValueError', "after start"}}] = Run(<<"/raise_started">>),
    [{error, {'RuntimeError', _}}] = Run(<<"/start_only">>),
    [{start, 200, []}, {body, <<"abcd">>}, {error, {'ValueError', "in body"}}] = Run(<<"/raise_in_body">>),
    [{start, 200, []}, {body, <<"abcd">>}, done] = Run(<<"/raise_done">>),
    Ref = stream(Config, trouble, #{path => <<"/raise">>}, <<>>, #{error => map}),
    [{error, #{type := 'ValueError'}}] = events(Ref).

%% covers: py_asgi:feed/2, py_asgi:feed/3
stream_body(Config) ->
    Ref = stream(Config, echo, #{}, stream, #{}),
    body_wanted = event(Ref),
    [] = py_test:mailbox(),
    ok = py_asgi:feed(Ref, <<"one ">>),
    body_wanted = event(Ref),
    ok = py_asgi:feed(Ref, ["two", " "], more),
    body_wanted = event(Ref),
    ok = py_asgi:feed(Ref, <<"three">>, last),
    [{start, 200, _}, {body, <<"one two three">>}, done] = events(Ref),
    %% It has ended.
    ok = py_asgi:feed(Ref, <<"four">>),
    ok = py_asgi:credit(Ref, 1),
    ok = py_asgi:cancel(Ref).

%% covers: py_asgi:feed/3
stream_body_unasked(Config) ->
    Pieces = [rand:bytes(1 + (I * 7919) rem 3000) || I <- lists:seq(1, 500)],
    Ref = stream(Config, echo, #{}, stream, #{}),
    [ok = py_asgi:feed(Ref, Piece) || Piece <- Pieces],
    ok = py_asgi:feed(Ref, <<>>, last),
    ok = py_asgi:feed(Ref, <<"too late">>, last),
    Events = events(Ref),
    ?assert(bodies(Events) =:= iolist_to_binary(Pieces)),
    ?assertEqual(done, lists:last(Events)).

%% The application is never further ahead than the credit allows.
%% covers: py_asgi:credit/2
stream_credit(Config) ->
    Ref = stream(Config, endless, #{to => self()}, <<>>, #{credit => 3}),
    [{start, 200, _}, {body, <<"0">>}, {body, <<"1">>}, {body, <<"2">>}] = [event(Ref) || _ <- lists:seq(1, 4)],
    %% The event before counts what was sent; the loop serves others meanwhile.
    {ok, {200, _, <<"x">>}} = run(Config, echo, #{}, <<"x">>, #{}),
    3 = ask(Config, flags_get, [sent]),
    ok = py_asgi:credit(Ref, 2),
    [{body, <<"3">>}, {body, <<"4">>}] = [event(Ref) || _ <- [1, 2]],
    {ok, {200, _, <<"x">>}} = run(Config, echo, #{}, <<"x">>, #{}),
    5 = ask(Config, flags_get, [sent]),
    [] = py_test:mailbox(),
    ok = py_asgi:cancel(Ref),
    said(<<"stopped">>).

%% Without credit the application does not wait, and yet others get their turn.
%% covers: py_asgi:run_stream/5
stream_unlimited(Config) ->
    Ref = stream(Config, endless, #{to => self()}, <<>>, #{credit => infinity}),
    {start, 200, _} = event(Ref),
    {ok, {200, _, <<"x">>}} = run(Config, echo, #{}, <<"x">>, #{}),
    {body, <<"0">>} = event(Ref),
    ok = py:cancel(Ref),
    said(<<"stopped">>),
    [] = py_test:mailbox().

%% covers: py_asgi:cancel/1, py:cancel/1
stream_cancel(Config) ->
    [
        begin
            Ref = stream(Config, hang, #{to => self(), path => <<"/started">>}, <<>>, #{}),
            said(<<"started">>),
            {start, 200, _} = event(Ref),
            ok = Cancel(Ref),
            cancelled(),
            ok = Cancel(Ref)
        end
     || Cancel <- [fun py_asgi:cancel/1, fun py:cancel/1]
    ],
    0 = ets:info(py_asgi_streams, size).

%% covers: py_asgi:run_stream/5
stream_consumer_death(Config) ->
    Self = self(),
    Pid = spawn(fun() ->
        Ref = stream(Config, hang, #{to => Self, path => <<"/started">>}, <<>>, #{}),
        receive {py_asgi, Ref, _} -> receive never -> ok end end
    end),
    said(<<"started">>),
    exit(Pid, kill),
    cancelled(),
    py_test:until(fun() -> ets:info(py_asgi_streams, size) =:= 0 end).

%% covers: py_asgi:run_stream/5
stream_timeout(Config) ->
    Ref = stream(Config, hang, #{to => self(), path => <<"/started">>}, <<>>, #{timeout => 500}),
    said(<<"started">>),
    [{start, 200, _}, {body, <<"first">>}, {error, timeout}] = events(Ref),
    cancelled().

%% covers: py_asgi:run_stream/5
stream_worker_death(Config) ->
    Ref = stream(Config, hang, #{to => self(), path => <<"/started">>}, stream, #{}),
    body_wanted = event(Ref),
    ok = py_asgi:feed(Ref, <<>>, last),
    said(<<"started">>),
    {start, 200, _} = event(Ref),
    {body, <<"first">>} = event(Ref),
    [OsPid] = py_test:os_pids(?config(pool, Config)),
    py_test:kill("9", OsPid),
    [{error, {worker_down, _}}] = events(Ref),
    py_test:whole(?config(pool, Config)).

%% covers: py_asgi:run_stream/5
stream_two(Config) ->
    Refs = [stream(Config, echo, #{}, stream, #{}) || _ <- lists:seq(1, 50)],
    [body_wanted = event(Ref) || Ref <- Refs],
    [ok = py_asgi:feed(Ref, integer_to_binary(I), last) || {I, Ref} <- lists:enumerate(Refs)],
    [?assertMatch([{start, 200, _}, {body, _}, done], events(Ref)) || Ref <- lists:reverse(Refs)].

%% covers: py_asgi:run_stream/5
stream_head(Config) ->
    [{start, 200, _}, done] = events(stream(Config, pieces, #{method => head, query_string => <<"3">>}, <<>>, #{})),
    [{start, 204, _}, done] = events(stream(Config, status, #{query_string => <<"204">>}, <<>>, #{})).
