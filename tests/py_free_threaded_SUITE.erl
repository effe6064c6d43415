%% A CPython without a GIL: executors of one worker compute at the same time, and nothing else changes.
%% PY_TEST_FREE_THREADED names one from 3.14 on, which `make native FREE_THREADED=...' has built the worker for; what is on the PATH
%% is taken if it does not.
-module(py_free_threaded_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(EXECUTORS, 4).
%% Seconds.
-define(LOAD, 10).

suite() -> [{timetrap, {seconds, 300}}].

all() -> [information, side_by_side, changing_containers, changing_modules, one_after_another, interrupts, callbacks, load].

init_per_suite(Config) ->
    case [Path || Name <- [os:getenv("PY_TEST_FREE_THREADED", ""), "python3.14t", "python3.15t"], Path <- [os:find_executable(Name)], usable(Path)] of
        [Path | _] ->
            ok = py_test:start(options(Path)),
            [{python, Path} | Config];
        [] ->
            {skip, "no free-threaded Python that the worker was built for"}
    end.

usable(false) ->
    false;
usable(Path) ->
    {ok, #{default := Default}} = py_config:load([{python, Path}]),
    case py_interpreter:find(Default) of
        {ok, #{free_threaded := Free}} -> Free;
        {error, _} -> false
    end.

options(Path) ->
    [{python, Path}, {num_workers, 1}, {num_executors, ?EXECUTORS}, {paths, [py_test:apps()]}].

end_per_suite(_Config) ->
    py_test:stop().

%% The worker must be the same as before: none of the cases may end it.
init_per_testcase(_Case, Config) ->
    [{os_pids, py_test:os_pids(default)} | Config].

end_per_testcase(Case, Config) when Case =/= load ->
    ?assertEqual(proplists:get_value(os_pids, Config), py_test:os_pids(default)),
    [] = py_test:mailbox(),
    py_test:settled();
end_per_testcase(load, _Config) ->
    ok.

%% Runs a function in so many processes; their results.
together(Count, Fun) ->
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {done, self(), Fun(N)} end) || N <- lists:seq(1, Count)],
    [receive {done, Pid, Result} -> Result end || Pid <- Pids].

%% covers: py:execution_info/0
information(_) ->
    #{pools := #{default := #{mode := free_threaded, workers := 1, executors := ?EXECUTORS}}} = py:execution_info(),
    %% The worker's library does not switch the GIL on.
    {ok, false} = py:call(sys, '_is_gil_enabled', []).

%% covers: config:num_executors
side_by_side(_) ->
    ok = py:exec(<<"def count(n):\n    while n:\n        n -= 1\n    return n\n">>),
    Parallel = fun(Calls) ->
        {ok, [py:await(Ref) || Ref <- [py:spawn_call('__main__', count, [N]) || N <- Calls]]}
    end,
    parallel = py_test:parallel_within(20, 0.7, Parallel, 3000000).

%% What is encoded is changed by another thread all the time: each answer is one that there was.
%% covers: config:num_executors
changing_containers(_) ->
    ok = py:exec(<<
        "import threading\n"
        "items, pairs, nested, going = [], {}, {'list': []}, True\n"
        "def change():\n"
        "    number = 0\n"
        "    while going:\n"
        "        number += 1\n"
        "        items.append([number, str(number), {'n': number}])\n"
        "        pairs[number % 50] = (number, [number])\n"
        "        pairs.pop((number + 25) % 50, None)\n"
        "        nested['list'] = [str(number)] * (number % 20)\n"
        "        if number % 64 == 0:\n"
        "            del items[:]\n"
        "changers = [threading.Thread(target=change, daemon=True) for _ in range(2)]\n"
        "for changer in changers: changer.start()\n"
        "def stop():\n"
        "    global going\n"
        "    going = False\n"
        "    for changer in changers: changer.join()\n"
    >>),
    Look = fun(_) ->
        [
            begin
                {ok, Items} = py:eval(<<"items">>),
                true = lists:all(fun([N, Text, #{<<"n">> := N}]) -> Text =:= integer_to_binary(N) end, Items),
                {ok, Pairs} = py:eval(<<"pairs">>),
                true = lists:all(fun({Key, {N, [N]}}) -> N rem 50 =:= Key end, maps:to_list(Pairs)),
                {ok, #{<<"list">> := List}} = py:eval(<<"nested">>),
                true = length(lists:usort(List)) =< 1
            end
         || _ <- lists:seq(1, 300)
        ],
        ok
    end,
    [ok, ok, ok] = together(3, Look),
    {ok, none} = py:call('__main__', stop, []).

%% Functions are replaced while they are called.
changing_modules(_) ->
    ok = py:exec(<<
        "import sys, threading, types\n"
        "shifting = types.ModuleType('shifting'); sys.modules['shifting'] = shifting\n"
        "shifting.get = lambda: 0\n"
        "replacing = True\n"
        "def replace():\n"
        "    number = 0\n"
        "    while replacing:\n"
        "        number += 1\n"
        "        shifting.get = lambda number=number: number\n"
        "replacer = threading.Thread(target=replace, daemon=True); replacer.start()\n"
        "def settle():\n"
        "    global replacing\n"
        "    replacing = False\n"
        "    replacer.join()\n"
    >>),
    Rising = fun(_) ->
        Numbers = [begin {ok, N} = py:call(shifting, get, []), N end || _ <- lists:seq(1, 3000)],
        Numbers =:= lists:sort(Numbers)
    end,
    [true, true, true] = together(3, Rising),
    {ok, none} = py:call('__main__', settle, []).

%% Each request runs once, and answers go to those who asked.
%% covers: guarantee:one_answer
one_after_another(_) ->
    ok = py:exec(<<"import threading\nruns, lock = 0, threading.Lock()\ndef run(n):\n    global runs\n    with lock:\n        runs += 1\n    return [n, str(n)]\n">>),
    Ask = fun(Caller) ->
        [{ok, [N, _]} = py:call('__main__', run, [N]) || I <- lists:seq(1, 2000), N <- [Caller * 10000 + I]],
        ok
    end,
    Answers = together(20, Ask),
    ?assertEqual([ok], lists:usort(Answers)),
    {ok, 40000} = py:eval(<<"runs">>).

%% A deadline ends its own request; its neighbours, which compute at the same time, go on.
%% covers: guarantee:neighbours
interrupts(_) ->
    ok = py:exec(<<"def endless():\n    while True:\n        pass\ndef add(n):\n    for _ in range(1000):\n        n += 1\n    return n\n">>),
    Mixed = fun(N) when N rem 4 =:= 0 ->
            [{error, timeout} = py:call('__main__', endless, [], #{}, #{timeout => 20}) || _ <- lists:seq(1, 20)],
            ok;
        (_) ->
            [begin {ok, Sum} = py:call('__main__', add, [I]), Sum = I + 1000 end || I <- lists:seq(1, 500)],
            ok
    end,
    ?assertEqual([ok], lists:usort(together(8, Mixed))).

%% covers: guarantee:nesting
callbacks(_) ->
    ok = py:register_function(free_echo, fun([Term]) -> Term end),
    ok = py:exec(<<"def echo(n):\n    import erlang\n    return [erlang.call('free_echo', [n, i]) for i in range(20)]\n">>),
    Echo = fun(N) ->
        [begin {ok, All} = py:call('__main__', echo, [N]), All = [[N, I] || I <- lists:seq(0, 19)] end || _ <- lists:seq(1, 50)],
        ok
    end,
    ?assertEqual([ok], lists:usort(together(10, Echo))),
    ok = py:unregister_function(free_echo).

%% All kinds of work at once, all answers checked.
%% covers: guarantee:one_answer
load(Config) ->
    py_test:stop(),
    _ = py_load:prepare(proplists:get_value(priv_dir, Config)),
    ok = py_test:start([{python, proplists:get_value(python, Config)} | py_load:pool_options()]),
    Load = py_load:start(#{clients => 16, seed => 1}),
    timer:sleep(?LOAD * 1000),
    Done = py_load:done(Load),
    Tally = py_load:stop(Load),
    ct:log("~b pieces of work: ~p", [Done, Tally]),
    ?assert(Done > 0),
    py_test:restart(options(proplists:get_value(python, Config))).
