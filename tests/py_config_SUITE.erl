%% Configuration: what is refused, and what the refusal says.
-module(py_config_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        defaults, unknown_key, bad_values, good_values, consistency, pools, start_refused, no_python, not_python, old_python, venv_missing,
        interpreter, venv, named_pools_start, preload_stops_start, stopped_application,
        worker_timeout, drain_limit, stop_timeout, small_ring_and_arena, blob_cache, no_watching, size_of_parallel, sizes_in_turn
    ].

init_per_testcase(_Case, Config) ->
    Config.

end_per_testcase(_Case, _Config) ->
    case lists:keymember(erlang_python, 1, application:which_applications()) of
        true -> py_test:stop();
        false -> ok
    end.

refused(Env) ->
    {error, {bad_config, Text}} = py_config:load(Env),
    Text.

mentions(Text, Words) ->
    [?assertNotEqual({Word, nomatch}, {Word, string:find(Text, Word)}) || Word <- Words].

%% covers: config:num_workers, config:max_workers, config:num_executors, config:max_threads, config:max_concurrent
%% covers: config:env
defaults(_) ->
    {ok, #{max_concurrent := 16384, pools := [], default := Default}} = py_config:load([]),
    Online = erlang:system_info(schedulers_online),
    Max = 4 * Online,
    #{num_workers := Online, max_workers := Max, num_executors := 1, max_threads := 256, env := inherit} = Default.

%% covers: config:num_workers
unknown_key(_) ->
    mentions(refused([{num_worker, 2}]), ["num_worker", "num_workers", "sys.config"]).

%% covers: config:num_workers, config:max_workers, config:num_subinterp_workers, config:num_executors
%% covers: config:max_threads, config:max_concurrent, config:python, config:venv, config:paths, config:imports
%% covers: config:preload, config:env, config:cd, config:worker_timeout, config:kill_grace, config:drain_limit
%% covers: config:stop_timeout, config:ring_size, config:arena_size, config:inline_budget_us, config:segments
%% covers: config:pools, config:slow_call
bad_values(_) ->
    Bad = [
        {num_workers, 0}, {num_workers, many}, {max_workers, -1}, {num_subinterp_workers, 0}, {num_executors, 1.5}, {max_threads, 0},
        {max_concurrent, 0}, {python, 3}, {python, ""}, {venv, []}, {paths, "/tmp"}, {paths, [1]}, {imports, numpy}, {preload, {file, "/none"}},
        {preload, 1}, {env, everything}, {env, [x]}, {cd, "/no/such/directory"}, {worker_timeout, 0}, {kill_grace, infinity},
        {drain_limit, -1}, {stop_timeout, x}, {ring_size, 1000}, {ring_size, 65537}, {arena_size, 0}, {blob_cache, -1}, {inline_budget_us, -1}, {segments, shm}, {slow_call, 9}, {slow_call, off}, {pools, x},
        {pools, [{default, #{}}]}, {pools, [x]}
    ],
    [mentions(refused([{Key, Value}]), [atom_to_list(Key), "must be"]) || {Key, Value} <- Bad].

good_values(_) ->
    Good = [
        {num_workers, 1}, {max_workers, 100}, {slow_call, 10}, {slow_call, infinity}, {num_subinterp_workers, 3}, {num_executors, 2}, {max_threads, 10}, {max_concurrent, 1},
        {python, "python3"}, {paths, ["/a", <<"/b">>]}, {imports, [json, "os.path", <<"re">>]}, {preload, <<"x = 1">>},
        {env, clean}, {env, [{"A", "b"}, {<<"C">>, false}]}, {cd, "/tmp"}, {worker_timeout, 1}, {kill_grace, 10}, {drain_limit, 1},
        {stop_timeout, 1}, {ring_size, 65536}, {arena_size, 1 bsl 20}, {blob_cache, 0}, {inline_budget_us, 0}, {segments, named}, {pools, #{mine => #{num_workers => 1}}}
    ],
    [{ok, _} = py_config:load([{num_workers, 1}, Option]) || Option <- Good],
    ok.

%% covers: config:num_workers, config:num_executors
consistency(_) ->
    mentions(refused([{num_workers, 3}, {max_workers, 2}]), ["num_workers", "max_workers"]),
    mentions(refused([{num_executors, 3}, {max_threads, 2}]), ["num_executors", "max_threads"]).

%% covers: config:pools
pools(_) ->
    {ok, #{pools := [{mine, #{num_workers := 3, kill_grace := 7}}]}} =
        py_config:load([{kill_grace, 7}, {pools, [{mine, [{num_workers, 3}]}]}]),
    mentions(refused([{pools, [{mine, [{colour, red}]}]}]), ["colour"]),
    mentions(refused([{pools, [{mine, [{max_concurrent, 3}]}]}]), ["max_concurrent"]).

start_error(Env) ->
    {error, {erlang_python, {{Tag, Text}, _}}} = py_test:start(Env),
    ?assert(io_lib:char_list(Text)),
    {Tag, Text}.

%% covers: config:num_workers, error:not_started
start_refused(_) ->
    {bad_config, Text} = start_error([{num_workers, none}]),
    mentions(Text, ["num_workers"]),
    {bad_config, Unknown} = start_error([{no_such_option, 1}]),
    mentions(Unknown, ["no_such_option"]),
    {error, not_started} = py:call(math, sqrt, [1]),
    ok = py_test:start().

%% covers: config:python
no_python(_) ->
    {no_python, Text} = start_error([{python, "/no/such/python"}]),
    mentions(Text, ["/no/such/python", "{python,"]),
    ok = py_test:start(),
    {ok, 1} = py:eval(<<"1">>).

not_python(_) ->
    {no_python, Text} = start_error([{python, "/bin/true"}]),
    mentions(Text, ["true", "{python,"]).

%% A stand-in that answers as old, foreign and free-threaded interpreters do.
old_python(Config) ->
    Answer = fun(Version, Implementation, Bits, Free) ->
        File = filename:join(proplists:get_value(priv_dir, Config), "python-stand-in"),
        ok = file:write_file(File, [
            "#!/bin/sh\nprintf '%s\\n' 'erlang_python probe' '", Version, "' ", Implementation, " ", Bits, " ", Free, " /bin/sh /usr 'version text'\n"
        ]),
        ok = file:change_mode(File, 8#755),
        {ok, #{default := Default}} = py_config:load([{python, File}]),
        {error, {no_python, Text}} = py_interpreter:find(Default),
        Text
    end,
    mentions(Answer("3 8 18", "CPython", "64", "0"), ["3.9 or later"]),
    mentions(Answer("2 7 18", "CPython", "64", "0"), ["3.9 or later"]),
    mentions(Answer("3 10 0", "PyPy", "64", "0"), ["PyPy", "CPython"]),
    mentions(Answer("3 12 0", "CPython", "32", "0"), ["32-bit"]),
    mentions(Answer("3 13 0", "CPython", "64", "1"), ["free-threaded", "3.14"]),
    mentions(Answer("3 99 0", "CPython", "64", "1"), ["free-threaded", "py_core.cpython-399t.so", "make native FREE_THREADED="]).

venv_missing(_) ->
    {no_python, Text} = start_error([{python, "/tmp"}]),
    mentions(Text, ["/tmp", "no virtual environment"]).

%% covers: config:python
interpreter(_) ->
    {ok, #{default := Default}} = py_config:load([{python, py_test:python()}]),
    {ok, #{executable := Executable, version := {3, Minor, _}, text := Text}} = py_interpreter:find(Default),
    ?assert(Minor >= 9),
    ?assert(filelib:is_regular(Executable)),
    ?assert(byte_size(Text) > 5).

%% A virtual environment is an interpreter of its own.
%% covers: config:python
venv(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "venv"),
    {ok, #{default := Default}} = py_config:load([{python, py_test:python()}]),
    {ok, #{executable := Executable}} = py_interpreter:find(Default),
    _ = os:cmd(unicode:characters_to_list([Executable, " -m venv --without-pip ", Dir])),
    ok = py_test:start([{num_workers, 1}, {python, Dir}]),
    {ok, Prefix} = py:eval(<<"__import__('sys').prefix">>),
    ?assertEqual(unicode:characters_to_binary(Dir), Prefix).

%% covers: config:pools
named_pools_start(_) ->
    ok = py_test:start([{num_workers, 1}, {pools, #{mine => #{num_workers => 1}}}]),
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, #{pool => mine}).

%% covers: config:preload
preload_stops_start(_) ->
    {worker_start_failed, Text} = start_error([{num_workers, 1}, {preload, <<"import no_such_module_here">>}]),
    mentions(Text, ["no_such_module_here", "preload"]).

%% covers: error:not_started, config:stop_timeout
stopped_application(_) ->
    ok = py_test:start(),
    ok = py:exec(<<"x = 1">>),
    Self = self(),
    Caller = spawn_link(fun() -> Self ! {done, self(), py:call(time, sleep, [0.5])} end),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats()) =:= 1 end),
    ok = application:stop(erlang_python),
    receive {done, Caller, Result} -> ?assertEqual({ok, none}, Result) end,
    py:unbind(),
    {error, not_started} = py:call(math, sqrt, [1]),
    {error, not_started} = py:exec(<<"1">>),
    {error, not_started} = py:parallel([]),
    {error, not_started} = py:exec_all(<<"1">>),
    {error, not_started} = py:version(),
    {error, not_started} = py:await(py:call_async(math, sqrt, [1])),
    ok = py_test:start(),
    {ok, 1.0} = py:call(math, sqrt, [1]).

%% A worker that is not ready in time is no worker.
%% covers: config:worker_timeout
worker_timeout(_) ->
    {Time, {worker_start_failed, Text}} = py_test:timed(fun() ->
        start_error([{num_workers, 1}, {worker_timeout, 500}, {preload, <<"import time; time.sleep(3600)">>}])
    end),
    mentions(Text, ["worker_timeout", "500"]),
    ?assert(Time >= 500).

%% A worker that shall go does not wait longer for its work.
%% covers: config:drain_limit
drain_limit(_) ->
    ok = py_test:start([{num_workers, 2}, {drain_limit, 300}]),
    ok = py_test:define(<<"import erlang, time\ndef hold(pid):\n    erlang.send(pid, erlang.atom('started'))\n    time.sleep(3600)">>),
    %% A worker that still counts its part of this would look busy, and both calls go to the other.
    py_test:settled(),
    Refs = [py:call_async('__main__', hold, [self()]) || _ <- lists:seq(1, 2)],
    %% What has not started goes to the worker that stays.
    [receive started -> ok end || _ <- Refs],
    py_test:until(fun() -> [1, 1] =:= [N || #{in_flight := N} <- py:workers()] end),
    {Time, Ended} = py_test:timed(fun() ->
        ok = py_pool:resize(default, 1),
        receive {py_error, Ref, Reason} -> {Ref, Reason} end
    end),
    {_, {worker_down, killed}} = Ended,
    ?assert(Time >= 300),
    [ok] = [py:cancel(Ref) || Ref <- Refs, Ref =/= element(1, Ended)].

%% covers: config:stop_timeout
stop_timeout(_) ->
    ok = py_test:start([{num_workers, 1}, {stop_timeout, 300}]),
    Ref = py:call_async(time, sleep, [3600]),
    py_test:until(fun() -> [1] =:= [N || #{in_flight := N} <- py:workers()] end),
    {Time, ok} = py_test:timed(fun() -> application:stop(erlang_python) end),
    {error, {worker_down, stopped}} = py:await(Ref),
    ?assert(Time >= 300),
    ok = py_test:start().

%% What does not fit takes its own memory.
%% covers: config:ring_size, config:arena_size
small_ring_and_arena(_) ->
    ok = py_test:start([{num_workers, 1}, {ring_size, 65536}, {arena_size, 65536}]),
    Refs = [{N, py:call_async(operator, add, [N, 1])} || N <- lists:seq(1, 5000)],
    [{ok, M} = py:await(Ref) || {N, Ref} <- Refs, M <- [N + 1]],
    Data = binary:copy(<<"0123456789abcdef">>, 65536),
    {ok, Data} = py:call(builtins, bytes, [{bytes, Data}]).

%% The memory of a large payload stays for the next one, or does not.
%% covers: config:blob_cache
blob_cache(_) ->
    Size = 4 * 1024 * 1024,
    Kept = fun(Options) ->
        ok = py_test:start([{num_workers, 1} | Options]),
        {ok, Size} = py:call(builtins, len, [{bytes, binary:copy(<<7>>, Size)}]),
        {ok, Data} = py:call(builtins, bytes, [Size]),
        Size = byte_size(Data),
        {ok, Big} = py:eval(<<
            "len([1 for l in open('/proc/self/maps') if 'memfd:erlang_python-re' in l"
            " and (lambda a, b: int(b, 16) - int(a, 16))(*l.split()[0].split('-')) >= size])"
        >>, #{size => Size}),
        py_test:stop(),
        Big
    end,
    ?assertEqual(2, Kept([])),
    %% The memory of the last result is given back when the next one is made.
    ?assert(Kept([{blob_cache, 0}]) < 2).

%% covers: config:inline_budget_us
no_watching(_) ->
    ok = py_test:start([{num_workers, 1}, {inline_budget_us, 0}]),
    [{ok, 2.0} = py:call(math, sqrt, [4]) || _ <- lists:seq(1, 100)],
    ok.

%% covers: config:num_subinterp_workers
size_of_parallel(_) ->
    ok = py_test:start([{num_workers, 1}, {num_subinterp_workers, 3}]),
    {ok, [{ok, 2.0}]} = py:parallel([{math, sqrt, [4]}]),
    3 = length(py_test:os_pids(parallel)),
    1 = length(py_test:os_pids(default)).

%% covers: config:num_workers, config:max_workers
sizes_in_turn(_) ->
    ok = py_test:start([{num_workers, 2}, {max_workers, 3}]),
    2 = length(py_test:os_pids(default)),
    ok = py_pool:resize(default, 3),
    {error, {max_workers, 3}} = py_pool:resize(default, 4).
