%% Workers die all the time, in every way, under every kind of work: each request has exactly one answer, the right one or
%% that its worker went, nothing runs twice, and at the end everything is as it was.
%% PY_CHAOS_DEATHS sets how many workers die (default 150), PY_CHAOS_SEED which faults and which work are chosen.
-module(py_chaos_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").
-include_lib("common_test/include/ct.hrl").

-define(CLIENTS, 24).
-define(POOLS, [default, async, parallel, load_threads]).

suite() -> [{timetrap, {seconds, 120 + deaths()}}].

all() -> [chaos].

init_per_suite(Config) ->
    Seed = number("PY_CHAOS_SEED", erlang:system_time(second)),
    ct:pal("PY_CHAOS_SEED=~b PY_CHAOS_DEATHS=~b", [Seed, deaths()]),
    _ = py_load:prepare(?config(priv_dir, Config)),
    ok = py_test:start(py_load:pool_options()),
    %% A log of thousands of deaths, each of which is wanted, says nothing.
    ok = logger:set_module_level(py_worker, error),
    [{seed, Seed} | Config].

end_per_suite(_Config) ->
    ok = logger:unset_module_level(py_worker),
    py_test:stop().

deaths() -> number("PY_CHAOS_DEATHS", 150).

number(Variable, Default) ->
    case os:getenv(Variable) of
        false -> Default;
        Text -> list_to_integer(Text)
    end.

%% covers: guarantee:one_answer, guarantee:crash, guarantee:nothing_left
chaos(Config) ->
    Seed = ?config(seed, Config),
    %% Whatever is loaded or made at its first use.
    _ = storm(20, Seed),
    ok = fresh(),
    Before = py_health:node_holds(),
    Size = max(75, deaths() div 20),
    {Time, Rounds} = timer:tc(fun() -> [storm(min(Size, deaths() - Done), Seed + Done + 1) || Done <- lists:seq(0, deaths() - 1, Size)] end),
    ok = fresh(),
    #{rss := RssBefore} = Before,
    #{rss := RssAfter} = py_health:node_holds(),
    {Ended, Caused} = lists:unzip(Rounds),
    Sum = fun(Maps) -> lists:foldl(fun(Map, All) -> maps:merge_with(fun(_, A, B) -> A + B end, Map, All) end, #{}, Maps) end,
    All = Sum(Ended),
    ct:pal("~b deaths in ~b s, ~b pieces of work, of them ~b ended by a death~n~nfaults: ~tp~n~nwork: ~tp~n~nresident before and after: ~b and ~b KiB", [
        deaths(), Time div 1000000, lists:sum(maps:values(All)), lists:sum([N || {{_, {worker_down, _}}, N} <- maps:to_list(All)]),
        lists:sort(maps:to_list(Sum(Caused))), lists:sort(maps:to_list(All)), RssBefore, RssAfter
    ]),
    py_health:as_before(Before).

%% One round: the load runs, so many workers die, the load ends and is found right.
storm(Deaths, Seed) ->
    Load = py_load:start(#{clients => ?CLIENTS, seed => Seed}),
    Until = py_faults:restarts() + Deaths,
    Over = fun() -> py_faults:restarts() >= Until end,
    Faults = py_faults:run(#{over => Over, seed => Seed, places => 4, pools => ?POOLS, pause => 30}),
    Work = py_load:stop(Load),
    ct:pal("~b deaths, ~b pieces of work, ~b KiB resident", [Deaths, lists:sum(maps:values(Work)), py_health:resident("self")]),
    %% Bindings make the pool grow.
    ok = py_pool:resize(default, 6),
    _ = [py_test:whole(Pool) || Pool <- ?POOLS],
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 6 orelse py:workers() end),
    {Work, Faults}.

%% All workers are exchanged: those that have served keep segments for the next large payload.
fresh() ->
    Ready = fun() -> [OsPid || Pool <- ?POOLS, OsPid <- py_test:os_pids(Pool)] end,
    Pids = Ready(),
    _ = [ok = py_test:kill("KILL", OsPid) || OsPid <- Pids],
    py_test:until(fun() -> length(Ready()) =:= length(Pids) andalso Ready() -- Pids =:= Ready() end),
    _ = [py_test:whole(Pool) || Pool <- ?POOLS],
    py_health:nothing_held().
