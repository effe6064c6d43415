%% Values shared by Erlang processes and all workers.
-module(py_state_SUITE).

-compile([export_all, nowarn_export_all]).

suite() -> [{timetrap, {seconds, 60}}].

all() -> [values, keys, counters, not_integers, counters_under_contention, state_ends_with_the_application].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = py:state_clear(),
    Config.

%% covers: py:state_fetch/1, py:state_store/2, py:state_remove/1, py_state:fetch/1, py_state:store/2
%% covers: py_state:remove/1
values(_) ->
    {error, not_found} = py:state_fetch(a),
    ok = py:state_store(a, {any, [term]}),
    {ok, {any, [term]}} = py:state_fetch(a),
    ok = py:state_store(a, 2),
    {ok, 2} = py:state_fetch(a),
    ok = py:state_remove(a),
    ok = py:state_remove(a),
    {error, not_found} = py:state_fetch(a).

%% covers: py:state_keys/0, py:state_clear/0, py_state:keys/0, py_state:clear/0
keys(_) ->
    [] = py:state_keys(),
    Keys = [1, 1.0, a, <<"a">>, {a, b}, #{k => v}, self(), {'$1', '_'}],
    [ok = py:state_store(Key, Key) || Key <- Keys],
    [{ok, Key} = py:state_fetch(Key) || Key <- Keys],
    Found = py:state_keys(),
    {[], []} = {Found -- Keys, Keys -- Found},
    ok = py:state_clear(),
    [] = py:state_keys().

%% covers: py:state_incr/1,2, py:state_decr/1,2, py_state:incr/1,2, py_state:decr/1,2
counters(_) ->
    1 = py:state_incr(n),
    11 = py:state_incr(n, 10),
    10 = py:state_decr(n),
    5 = py:state_decr(n, 5),
    -5 = py_state:decr(n, 10),
    {ok, -5} = py:state_fetch(n),
    Big = 1 bsl 100,
    Expected = Big - 5,
    Expected = py_state:incr(n, Big),
    [1, 2, 1] = [py_state:incr(m), py_state:incr(m), py_state:decr(m)].

%% covers: py:state_incr/1,2, py:state_decr/1,2
not_integers(_) ->
    ok = py:state_store(s, text),
    {error, not_an_integer} = py:state_incr(s),
    {error, not_an_integer} = py:state_decr(s, 2),
    {error, not_an_integer} = py:state_incr(n, 1.5),
    {error, not_an_integer} = py:state_decr(n, x),
    {ok, text} = py:state_fetch(s),
    {error, not_found} = py:state_fetch(n).

%% covers: py:state_incr/1, erlang.state_incr
counters_under_contention(_) ->
    ok = py_test:define(<<"def count(n):\n  for _ in range(n): erlang.state_incr('hits')">>),
    {ok, Results} = py:parallel([{'__main__', count, [500]} || _ <- lists:seq(1, 4)]),
    [{ok, none} = Result || Result <- Results],
    Pids = [spawn_monitor(fun() -> [py:state_incr(<<"hits">>) || _ <- lists:seq(1, 1000)] end) || _ <- lists:seq(1, 4)],
    [receive {'DOWN', Ref, process, _, normal} -> ok end || {_, Ref} <- Pids],
    {ok, 6000} = py:state_fetch(<<"hits">>).

state_ends_with_the_application(_) ->
    ok = py:state_store(a, 1),
    ok = py_test:restart([]),
    {error, not_found} = py:state_fetch(a).
