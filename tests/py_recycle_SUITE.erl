%% Workers that are replaced after so many requests, or for their memory: nobody notices but their bill.
-module(py_recycle_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(MIB, 1048576).
%% Under load as many workers come and go; PY_RECYCLINGS asks for more.
-define(RECYCLINGS, 36).
-define(CALLERS, 16).

suite() -> [{timetrap, {seconds, 100}}].

all() ->
    [
        under_load, async_under_load, by_memory, counts_requests, starts_first, bound, with_objects, with_streams, kept_by_exec, all_workers,
        substitute_fails, dies_meanwhile, resized_meanwhile
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(Case, Config) ->
    [{pool, Case} | Config].

end_per_testcase(Case, _Config) ->
    _ = py_pool:stop_pool(Case),
    py:unbind(),
    [] = py_test:mailbox(),
    ok.

start(Config, Options) ->
    Pool = proplists:get_value(pool, Config),
    ok = py_pool:start_pool(Pool, Options),
    Pool.

recyclings() ->
    list_to_integer(os:getenv("PY_RECYCLINGS", integer_to_list(?RECYCLINGS))).

pid(Pool) ->
    {ok, OsPid} = py:call(os, getpid, [], #{}, #{pool => Pool}),
    OsPid.

%% Calls until the pool has so many workers behind it.
call_until_recycled(Pool, OsPid) ->
    py_test:until(fun() -> pid(Pool) =/= OsPid end),
    py_test:until(fun() -> not py_test:alive(OsPid) end).

%% Calls of every kind, from many processes, while dozens of workers go: each answer is right.
%% covers: config:max_calls, guarantee:one_answer
under_load(_) ->
    ok = py_test:restart([{max_calls, 40}]),
    ok = py:exec_all(<<"
import os
def twice(x):
    return 2 * x, os.getpid()
def items(n):
    yield from range(n)
">>),
    Big = binary:copy(<<"0123456789abcdef">>, 20000),
    Kinds = [
        fun(N) -> {ok, {V, P}} = py:call('__main__', twice, [N]), V = 2 * N, P end,
        fun(N) -> {ok, {V, P}} = py:await(py:call_async('__main__', twice, [N])), V = 2 * N, P end,
        fun(N) -> {ok, {V, P}} = py:eval(<<"(n + 1, os.getpid())">>, #{n => N}), V = N + 1, P end,
        fun(_) -> {ok, Big} = py:call(builtins, bytes, [{bytes, Big}]), none end,
        fun(N) -> {ok, Items} = py:stream('__main__', items, [N rem 40]), Items = lists:seq(0, N rem 40 - 1), none end,
        fun(N) ->
            {ok, Object} = py:call(builtins, list, [[N, N + 1]], #{}, #{return => ref}),
            {ok, N} = py:call_method(Object, '__getitem__', [0]),
            ok = py:release(Object),
            none
        end,
        fun(_) -> {ok, none} = py:call(time, sleep, [0.002]), none end,
        fun(N) ->
            {ok, V} = py:eval(<<"erlang.call('increment', n)">>, #{n => N}),
            V = N + 1,
            none
        end
    ],
    ok = py:register_function(increment, fun([X]) -> X + 1 end),
    Calls = load(Kinds, recyclings()),
    ct:pal("~b calls", [Calls]),
    ok = py:unregister_function(increment),
    py_test:restart([]).

load(Kinds, Wanted) ->
    Seen = ets:new(seen, [public, set]),
    Calls = counters:new(1, []),
    Callers = [
        spawn_monitor(fun() -> caller(Kinds, Seen, Calls, Wanted, N * 1000) end)
     || N <- lists:seq(1, ?CALLERS)
    ],
    [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Monitor} <- Callers],
    true = ets:delete(Seen),
    counters:get(Calls, 1).

caller(Kinds, Seen, Calls, Wanted, N) ->
    case ets:info(Seen, size) > Wanted of
        true ->
            [] = py_test:mailbox();
        false ->
            Kind = lists:nth(1 + N rem length(Kinds), Kinds),
            true = ets:insert(Seen, {Kind(N)}),
            ok = counters:add(Calls, 1, 1),
            caller(Kinds, Seen, Calls, Wanted, N + 1)
    end.

%% Coroutines that are under way end where they began.
%% covers: config:max_calls
async_under_load(Config) ->
    Pool = start(Config, #{kind => async, num_workers => 1, max_calls => 100, preload => <<"
import asyncio, os
async def twice(x):
    await asyncio.sleep(0.01)
    return 2 * x, os.getpid()
">>}),
    Kinds = [
        fun(N) ->
            Refs = [{X, py:async_call('__main__', twice, [X], #{}, #{pool => Pool})} || X <- lists:seq(N, N + 9)],
            [P | _] = [begin {ok, {V, P}} = py:async_await(Ref), V = 2 * X, P end || {X, Ref} <- Refs],
            P
        end,
        fun(N) ->
            {ok, [{A, P}, {B, P}]} = py:async_gather([{'__main__', twice, [N]}, {'__main__', twice, [1]}], #{pool => Pool}),
            {A, B} = {2 * N, 2},
            P
        end
    ],
    load(Kinds, 8).

%% A worker that leaks is replaced before it is ended.
%% covers: config:max_rss
by_memory(Config) ->
    Pool = start(Config, #{num_workers => 1, max_rss => 64 * ?MIB, memory_limit => 1024 * ?MIB, preload => <<"
import os
kept = []
def leak(n):
    kept.append(bytearray(b'x') * n)
    return os.getpid()
">>}),
    Leak = fun() -> {ok, OsPid} = py:call('__main__', leak, [4 * ?MIB], #{}, #{pool => Pool}), OsPid end,
    First = Leak(),
    ?assertEqual([First], lists:usort([Leak() || _ <- lists:seq(1, 5)])),
    [Leak() || _ <- lists:seq(1, 10)],
    py_test:until(fun() -> pid(Pool) =/= First end),
    py_test:until(fun() -> not py_test:alive(First) end),
    py_test:until(fun() ->
        case [W || #{pool := P} = W <- py:workers(), P =:= Pool] of
            [#{restarts := 0}] -> true;
            Others -> Others
        end
    end).

%% What is counted are the requests since the worker serves: not its set-up.
%% covers: config:max_calls
counts_requests(Config) ->
    Pool = start(Config, #{num_workers => 1, max_calls => 10, preload => [<<"a = 1">>, <<"b = 2">>]}),
    First = pid(Pool),
    [First = pid(Pool) || _ <- lists:seq(1, 8)],
    receive after 500 -> ok end,
    [First] = py_test:os_pids(Pool),
    First = pid(Pool),
    call_until_recycled(Pool, First).

%% The substitute has run everything before the old one leaves.
%% covers: config:max_calls
starts_first(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "slow_start"),
    Preload = iolist_to_binary(["import os, time\nwhile os.path.exists('", File, "'):\n    time.sleep(0.01)\nready = 1"]),
    Pool = start(Config, #{num_workers => 1, max_workers => 1, max_calls => 5, preload => Preload}),
    ok = file:write_file(File, <<>>),
    First = pid(Pool),
    [First = pid(Pool) || _ <- lists:seq(1, 20)],
    py_test:until(fun() -> [ready, starting] =:= lists:sort([S || #{pool := P, state := S} <- py:workers(), P =:= Pool]) end),
    [First = pid(Pool) || _ <- lists:seq(1, 100)],
    ok = file:delete(File),
    call_until_recycled(Pool, First),
    {ok, 1} = py:eval(<<"ready">>, #{}, #{pool => Pool}).

%% covers: config:max_calls, py:bind/1
bound(Config) ->
    Pool = start(Config, #{num_workers => 2, max_workers => 2, max_calls => 10}),
    {ok, Context} = py:bind(#{pool => Pool}),
    {ok, OsPid} = py:ctx_call(Context, os, getpid, []),
    [{ok, OsPid} = py:ctx_call(Context, os, getpid, []) || _ <- lists:seq(1, 200)],
    receive after 1500 -> ok end,
    {ok, OsPid} = py:ctx_call(Context, os, getpid, []),
    ok = py:unbind(Context),
    py_test:until(fun() -> not py_test:alive(OsPid) end),
    py_test:whole(Pool).

%% A worker of which somebody has something serves him, and only him, until he lets go.
%% covers: config:max_calls, py:release/1
with_objects(Config) ->
    Pool = start(Config, #{num_workers => 1, max_calls => 10}),
    {ok, Object} = py:call(builtins, list, [[1, 2]], #{}, #{pool => Pool, return => ref}),
    OsPid = pid(Pool),
    py_test:until(fun() -> pid(Pool) =/= OsPid end),
    [{ok, 1} = py:call_method(Object, '__getitem__', [0]) || _ <- lists:seq(1, 100)],
    %% Its successor is due as well, and stays as long as this one does.
    Second = pid(Pool),
    [Second = pid(Pool) || _ <- lists:seq(1, 100)],
    still_there(Pool, OsPid),
    Second = pid(Pool),
    {ok, 2} = py:call_method(Object, '__getitem__', [1]),
    ok = py:release(Object),
    py_test:until(fun() -> not py_test:alive(OsPid) end),
    call_until_recycled(Pool, Second).

%% Longer than between two looks of anybody.
still_there(Pool, OsPid) ->
    receive after 1500 -> ok end,
    [leaving] = [S || #{pool := P, os_pid := O, state := S} <- py:workers(), P =:= Pool, O =:= OsPid].

%% covers: config:max_calls, py:stream_cancel/1
with_streams(Config) ->
    Pool = start(Config, #{num_workers => 1, max_calls => 10}),
    {ok, Ref} = py:stream_eval_start(<<"iter(range(100))">>, #{}, #{pool => Pool, credit => 1}),
    {ok, 0} = py:stream_next(Ref),
    OsPid = pid(Pool),
    py_test:until(fun() -> pid(Pool) =/= OsPid end),
    still_there(Pool, OsPid),
    [{ok, N} = py:stream_next(Ref) || N <- lists:seq(1, 99)],
    done = py:stream_next(Ref),
    py_test:until(fun() -> not py_test:alive(OsPid) end).

%% Who has run `exec' finds what it has left there.
%% covers: config:max_calls, py:exec/1
kept_by_exec(_) ->
    ok = py_test:restart([{num_workers, 1}, {max_calls, 10}]),
    ok = py:exec(<<"import os\nmine = os.getpid()">>),
    {ok, OsPid} = py:eval(<<"mine">>),
    [{ok, OsPid} = py:eval(<<"mine">>) || _ <- lists:seq(1, 100)],
    still_there(default, OsPid),
    {ok, OsPid} = py:eval(<<"mine">>),
    ok = py:unbind(),
    py_test:until(fun() -> not py_test:alive(OsPid) end),
    {error, {'NameError', _}} = py:eval(<<"mine">>),
    py_test:restart([]).

%% What asks all workers meets none that is gone.
%% covers: config:max_calls, py:exec_all/1
all_workers(_) ->
    ok = py_test:restart([{max_calls, 20}]),
    Self = self(),
    Caller = spawn_link(fun() ->
        load([fun(_) -> pid(default) end], 12),
        Self ! {done, self()}
    end),
    Rounds = (fun Ask(N) ->
        Code = iolist_to_binary(["n = ", integer_to_list(N)]),
        ok = py:exec_all(Code),
        {ok, _} = py:gc(),
        {ok, #{workers := [_ | _] = Workers}} = py:memory_stats(),
        [] = [W || #{error := _} = W <- Workers],
        {ok, M} = py:eval(<<"n">>),
        M = N,
        receive {done, Caller} -> N after 0 -> Ask(N + 1) end
    end)(1),
    ct:log("~b rounds", [Rounds]),
    py_test:restart([]).

%% Where no substitute can start the worker goes on.
%% covers: config:max_calls
substitute_fails(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "no_start"),
    Preload = iolist_to_binary(["import os\nassert not os.path.exists('", File, "')"]),
    Pool = start(Config, #{num_workers => 1, max_calls => 5, preload => Preload}),
    ok = file:write_file(File, <<>>),
    First = pid(Pool),
    [First = pid(Pool) || _ <- lists:seq(1, 20)],
    Errors = fun() -> [E || #{pool := P, last_error := E} <- py:workers(), P =:= Pool, E =/= none] end,
    py_test:until(fun() -> Errors() =/= [] end),
    [First = pid(Pool) || _ <- lists:seq(1, 100)],
    #{failing := false} = py_pool:get_stats(Pool),
    ok = file:delete(File),
    call_until_recycled(Pool, First).

%% A worker that crashes while its substitute starts: in the end there are as many as there should be.
%% covers: config:max_calls, guarantee:crash
dies_meanwhile(Config) ->
    meanwhile(Config, fun(_Pool, First) -> py_test:kill("KILL", First) end).

%% covers: config:max_calls, py_pool:resize/2
resized_meanwhile(Config) ->
    meanwhile(Config, fun(Pool, _First) ->
        ok = py_pool:resize(Pool, 2),
        ok = py_pool:resize(Pool, 1)
    end).

meanwhile(Config, Do) ->
    Pool = start(Config, #{num_workers => 1, max_calls => 50, preload => <<"import time\ntime.sleep(0.3)">>}),
    First = pid(Pool),
    [First = pid(Pool) || _ <- lists:seq(1, 60)],
    py_test:until(fun() -> 2 =:= length([W || #{pool := P} = W <- py:workers(), P =:= Pool]) end),
    ok = Do(Pool, First),
    py_test:until(fun() -> [ready] =:= [S || #{pool := P, state := S} <- py:workers(), P =:= Pool] end),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => Pool}).
