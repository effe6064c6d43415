%% WSGI: PEP 3333, point by point.
-module(py_wsgi_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        response, environment, native_strings, environment_forms, input, large_bodies, closed, starts, writes, errors, bad_arguments, callables,
        timeout, executors, concurrent
    ].

init_per_suite(Config) ->
    ok = py_test:start([{paths, [py_test:apps()]}, {num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py_test:settled(),
    ok.

ask(Expression) ->
    {ok, Value} = py:eval(<<"__import__('wsgi_raw').", Expression/binary>>),
    Value.

%% covers: py_wsgi:run/3, py_wsgi:run/4
response(_) ->
    {ok, {<<"200 OK">>, [{<<"Content-Type">>, <<"text/plain">>}, {<<"X-Method">>, <<"POST">>}], <<"abc">>}} =
        py_wsgi:run(wsgi_raw, echo, #{'REQUEST_METHOD' => <<"POST">>, 'wsgi.input' => ["a", <<"bc">>]}),
    {ok, {<<"200 OK">>, _, <<"x">>}} = py_wsgi:run(wsgi_raw, echo, #{'wsgi.input' => <<"x">>}, 5000),
    {ok, {<<"200 OK">>, _, <<"x">>}} = py_wsgi:run(wsgi_raw, echo, #{'wsgi.input' => <<"x">>}, #{timeout => 5000, pool => default}),
    {ok, {<<"200 OK">>, _, <<>>}} = py_wsgi:run(wsgi_raw, echo, #{'REQUEST_METHOD' => <<"HEAD">>, 'wsgi.input' => <<"x">>}),
    {ok, {<<"204 No Content">>, [], <<>>}} = py_wsgi:run(wsgi_raw, remember, #{}).

environment(_) ->
    {ok, _} = py_wsgi:run(wsgi_raw, remember, #{'wsgi.input' => <<"12345">>}),
    Expected = #{
        <<"REQUEST_METHOD">> => <<"'GET'">>, <<"SCRIPT_NAME">> => <<"''">>, <<"PATH_INFO">> => <<"'/'">>, <<"QUERY_STRING">> => <<"''">>,
        <<"SERVER_NAME">> => <<"'localhost'">>, <<"SERVER_PORT">> => <<"'80'">>, <<"SERVER_PROTOCOL">> => <<"'HTTP/1.1'">>,
        <<"CONTENT_LENGTH">> => <<"'5'">>, <<"wsgi.version">> => <<"(1, 0)">>, <<"wsgi.url_scheme">> => <<"'http'">>,
        <<"wsgi.multithread">> => <<"False">>, <<"wsgi.multiprocess">> => <<"True">>, <<"wsgi.run_once">> => <<"False">>,
        <<"errors">> => <<"True">>, <<"thread">> => <<"True">>
    },
    {ok, Expected} = py:call(wsgi_raw, scope, maps:keys(Expected)),
    {ok, _} = py_wsgi:run(wsgi_raw, remember, #{}),
    {ok, #{<<"CONTENT_LENGTH">> := <<"None">>}} = py:call(wsgi_raw, scope, ['CONTENT_LENGTH']).

%% Bytes as Latin-1, as PEP 3333 has it.
native_strings(_) ->
    {ok, _} = py_wsgi:run(wsgi_raw, remember, #{'PATH_INFO' => <<"/grün"/utf8>>, 'QUERY_STRING' => <<255, "=1">>}),
    {ok, #{<<"PATH_INFO">> := <<"'/gr\\xc3\\xbcn'">>, <<"QUERY_STRING">> := <<"'\\xff=1'">>}} =
        py:call(builtins, eval, [<<"{k: ascii(eval(v)) for k, v in __import__('wsgi_raw').scope('PATH_INFO', 'QUERY_STRING').items()}">>]).

environment_forms(_) ->
    {ok, _} = py_wsgi:run(wsgi_raw, remember, #{
        <<"PATH_INFO">> => "/text", "SERVER_PORT" => 8080, 'REQUEST_METHOD' => 'PUT', <<"HTTP_X">> => <<"1">>, 'wsgi.url_scheme' => <<"https">>,
        'CONTENT_LENGTH' => 0, <<"my.flag">> => true, <<"my.pair">> => {1, 2}
    }),
    Expected = #{
        <<"PATH_INFO">> => <<"'/text'">>, <<"SERVER_PORT">> => <<"'8080'">>, <<"REQUEST_METHOD">> => <<"'PUT'">>, <<"HTTP_X">> => <<"'1'">>,
        <<"wsgi.url_scheme">> => <<"'https'">>, <<"CONTENT_LENGTH">> => <<"'0'">>, <<"my.flag">> => <<"True">>, <<"my.pair">> => <<"(1, 2)">>
    },
    {ok, Expected} = py:call(wsgi_raw, scope, maps:keys(Expected)).

input(_) ->
    {ok, {_, _, <<"abcd\ne\nf\n/g\n/hij">>}} =
        py_wsgi:run(wsgi_raw, reader, #{'wsgi.input' => <<"abcd\ne\nf\ng\nhij">>}) .

large_bodies(_) ->
    [
        begin
            Body = rand:bytes(Size),
            {ok, {_, _, Echoed}} = py_wsgi:run(wsgi_raw, echo, #{'wsgi.input' => Body}),
            ?assert(Echoed =:= Body)
        end
     || Size <- [65536, 1_000_000, 20_000_000]
    ].

closed(_) ->
    _ = ask(<<"closed.clear()">>),
    {ok, {<<"200 OK">>, [], <<"ab">>}} = py_wsgi:run(wsgi_raw, closing, #{}),
    [true] = ask(<<"closed">>),
    {error, {'ValueError', "in the middle"}} = py_wsgi:run(wsgi_raw, failing_late, #{}),
    [true, false] = ask(<<"closed">>).

starts(_) ->
    {ok, {<<"202 Accepted">>, [{<<"X-Late">>, <<"yes">>}], <<"late">>}} = py_wsgi:run(wsgi_raw, late_start, #{}),
    {ok, {<<"500 Oops">>, [{<<"X-Second">>, <<"2">>}], <<"sorry">>}} = py_wsgi:run(wsgi_raw, replaced, #{}),
    {error, {'KeyError', "'too late'"}} = py_wsgi:run(wsgi_raw, too_late, #{}).

writes(_) ->
    {ok, {<<"200 OK">>, _, <<"written, again, returned">>}} = py_wsgi:run(wsgi_raw, writes, #{}).

%% covers: py_wsgi:run/4
errors(_) ->
    {ok, {<<"200 OK">>, [{<<"X">>, <<"b">>}], <<"fine">>}} = py_wsgi:run(wsgi_raw, trouble, #{'PATH_INFO' => <<"/fine">>}),
    [
        ?assertMatch({Path, {error, {Type, _}}}, {Path, py_wsgi:run(wsgi_raw, trouble, #{'PATH_INFO' => <<"/", Path/binary>>})})
     || {Path, Type} <- [
            {<<"raise">>, 'ValueError'}, {<<"exit">>, 'SystemExit'}, {<<"body_first">>, 'AssertionError'}, {<<"never">>, 'AssertionError'},
            {<<"twice">>, 'AssertionError'}, {<<"status">>, 'AssertionError'}, {<<"bytes">>, 'AssertionError'},
            {<<"headers">>, 'AssertionError'}, {<<"break">>, 'AssertionError'}, {<<"text">>, 'AssertionError'}
        ]
    ],
    {error, #{type := 'ValueError'}} = py_wsgi:run(wsgi_raw, trouble, #{'PATH_INFO' => <<"/raise">>}, #{error => map}).

bad_arguments(_) ->
    OsPids = py_test:os_pids(),
    {error, {badarg, module}} = py_wsgi:run(1, app, #{}),
    {error, {badarg, callable}} = py_wsgi:run(wsgi_raw, undefined, #{}),
    {error, {badarg, environ}} = py_wsgi:run(wsgi_raw, echo, []),
    {error, {badarg, environ}} = py_wsgi:run(wsgi_raw, echo, #{1 => 2}),
    {error, {badarg, 'wsgi.input'}} = py_wsgi:run(wsgi_raw, echo, #{'wsgi.input' => 17}),
    {error, {bad_option, colour}} = py_wsgi:run(wsgi_raw, echo, #{}, #{colour => red}),
    {error, {bad_option, factory}} = py_wsgi:run(wsgi_raw, echo, #{}, #{factory => red}),
    {error, {badarg, timeout}} = py_wsgi:run(wsgi_raw, echo, #{}, soon),
    OsPids = py_test:os_pids().

callables(_) ->
    [{ok, _} = py_wsgi:run(M, C, #{}) || M <- [wsgi_raw, <<"wsgi_raw">>, "wsgi_raw"], C <- [echo, <<"echo">>, "echo"]],
    {ok, {_, _, <<"x">>}} = py_wsgi:run(wsgi_raw, factory, #{'wsgi.input' => <<"x">>}, #{factory => true}),
    {error, {'ModuleNotFoundError', _}} = py_wsgi:run(no_such_module, app, #{}),
    {error, {'AttributeError', _}} = py_wsgi:run(wsgi_raw, missing, #{}).

timeout(_) ->
    ok = py:exec(<<"
        import sys, time, types
        sleeper = types.ModuleType('sleeper')
        sleeper.app = lambda environ, start: time.sleep(3600)
        sys.modules['sleeper'] = sleeper
    ">>),
    {error, timeout} = py_wsgi:run(sleeper, app, #{}, 200),
    {ok, _} = py_wsgi:run(wsgi_raw, echo, #{}),
    ok = py:unbind().

executors(_) ->
    ok = py_pool:start_pool(threads, #{num_workers => 1, num_executors => 2}),
    {ok, _} = py_wsgi:run(wsgi_raw, remember, #{}, #{pool => threads}),
    {ok, #{<<"wsgi.multithread">> := <<"True">>}} = py:call(wsgi_raw, scope, ['wsgi.multithread'], #{}, #{pool => threads}),
    ok = py_pool:stop_pool(threads).

concurrent(_) ->
    Run = fun(I) ->
        Body = integer_to_binary(I),
        {ok, {_, _, Body}} = py_wsgi:run(wsgi_raw, echo, #{'wsgi.input' => Body})
    end,
    Monitors = [element(2, spawn_monitor(fun() -> Run(I) end)) || I <- lists:seq(1, 500)],
    [receive {'DOWN', M, _, _, Reason} -> normal = Reason end || M <- Monitors].
