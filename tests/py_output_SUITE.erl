%% Option stdout: what workers print as events of logger, nowhere, or where the node prints.
-module(py_output_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(POOL, printing).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [lines, of_children, killed_after_print, unfinished_line, long_line, flood, null, inherit, nothing_leaks, bad_value].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => all, config => #{to => self()}}),
    Config.

end_per_testcase(_Case, _Config) ->
    ok = logger:remove_handler(?MODULE),
    _ = py_pool:stop_pool(?POOL),
    py_test:settled().

%% The handler.
log(#{level := Level, msg := {string, Text}, meta := #{python := #{stream := output} = Python}}, #{config := #{to := To}}) ->
    To ! {line, Level, Text, Python};
log(_Event, _Config) ->
    ok.

start(How) ->
    ok = py_pool:start_pool(?POOL, #{num_workers => 1, stdout => How}).

run(Code) ->
    py:exec(Code, #{pool => ?POOL, timeout => 60000}).

line() ->
    receive {line, notice, Text, _} -> Text after 20000 -> ct:fail(no_line) end.

%% covers: config:stdout
lines(_) ->
    start(logger),
    ok = run("import os, sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three\\n\\n\\u20ac')\nos.write(1, b'\\xff\\n')"),
    [OsPid] = py_test:os_pids(?POOL),
    receive {line, notice, <<"one">>, #{os_pid := P, worker := W}} -> ?assertEqual({OsPid, true}, {P, is_integer(W)}) end,
    ?assertEqual([<<"two">>, <<"three">>, <<>>, <<"€"/utf8>>, <<"ÿ"/utf8>>], [line() || _ <- lists:seq(1, 5)]).

of_children(_) ->
    start(logger),
    ok = run("import subprocess; subprocess.run(['sh', '-c', 'echo out; echo err >&2'], check=True)"),
    ?assertEqual([<<"out">>, <<"err">>], [line(), line()]).

killed_after_print(_) ->
    start(logger),
    lists:foreach(
        fun(N) ->
            {error, {worker_down, _}} = run(["import os\nfor n in range(100): print(n)\nprint('last ", integer_to_list(N), "')\nos.kill(os.getpid(), 9)"]),
            ?assertEqual([integer_to_binary(I) || I <- lists:seq(0, 99)], [line() || _ <- lists:seq(0, 99)]),
            ?assertEqual(<<"last ", (integer_to_binary(N))/binary>>, line()),
            py_test:whole(?POOL)
        end,
        lists:seq(1, 5)
    ).

unfinished_line(_) ->
    start(logger),
    {error, {worker_down, _}} = run("import os; os.write(1, b'begun'); os._exit(1)"),
    ?assertEqual(<<"begun">>, line()).

long_line(_) ->
    start(logger),
    ok = run("print('x' * 20000)\nprint('end')"),
    ?assertEqual([8192, 8192, 3616, 3], [byte_size(line()) || _ <- lists:seq(1, 4)]).

%% The worker does not wait for logger, and what waits is bounded.
flood(_) ->
    start(logger),
    ok = sys:suspend(py_logger),
    ok = run("for n in range(200000): print(n)"),
    {message_queue_len, Waiting} = process_info(whereis(py_logger), message_queue_len),
    ?assert(Waiting < 200000),
    ok = sys:resume(py_logger),
    ok = py_logger:flush(),
    ok = run("print('end')"),
    until_line(<<"end">>).

until_line(Last) ->
    case line() of Last -> ok; _ -> until_line(Last) end.

null(_) ->
    start(null),
    ok = run("import os\nassert os.path.samefile('/proc/self/fd/1', os.devnull) and os.path.samefile('/proc/self/fd/2', os.devnull)\nprint('x')").

%% It is the node's own.
inherit(_) ->
    start(inherit),
    Find = <<"__import__('os').readlink('/proc/%d/fd/1' % pid)">>,
    {ok, Mine} = py:eval(Find, #{pid => list_to_integer(os:getpid())}, #{pool => ?POOL}),
    {ok, Mine} = py:eval(Find, #{pid => hd(py_test:os_pids(?POOL))}, #{pool => ?POOL}).

nothing_leaks(_) ->
    Descriptors = fun() -> {ok, Names} = file:list_dir("/proc/self/fd"), length(Names) end,
    Cycle = fun() ->
        start(logger),
        ok = run("print('here')"),
        <<"here">> = line(),
        {error, {worker_down, _}} = run("import os; os._exit(1)"),
        ok = py_pool:stop_pool(?POOL)
    end,
    Cycle(),
    Before = Descriptors(),
    [Cycle() || _ <- lists:seq(1, 5)],
    py_test:until(fun() -> erlang:garbage_collect(), Descriptors() =< Before end).

bad_value(_) ->
    {error, {bad_config, Text}} = py_pool:start_pool(?POOL, #{stdout => file}),
    ?assertNotEqual(nomatch, string:find(Text, "stdout")).
