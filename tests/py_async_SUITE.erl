%% Asynchronous calls: one answer each, or none.
-module(py_async_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        messages, await, await_timeout, refused, cancel, cancel_answered, cancel_queued, spawn_call, deadline, cast, cast_failure,
        cast_outlives_caller, many_in_flight, order, cancel_races, await_of_either, cancelled_leave_nothing,
        killed_while_submitting, waiting_leaves_no_message, cancelled_at_its_start
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    ok = py_test:define(<<"
        counter = []
        def slow(x, seconds=0.05):
            import time
            time.sleep(seconds)
            return x
    ">>),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py_test:settled(),
    py:unbind().

%% covers: py:call_async/3, message:py_response, message:py_error
messages(_) ->
    Ref = py:call_async(math, sqrt, [16]),
    ?assert(is_reference(Ref)),
    receive {py_response, Ref, {ok, 4.0}} -> ok end,
    Failing = py:call_async(math, sqrt, [-1]),
    receive {py_error, Failing, {'ValueError', _}} -> ok end.

%% covers: py:await/1,2, py:async_await/1, py:call_async/4
await(_) ->
    {ok, 4.0} = py:await(py:call_async(math, sqrt, [16])),
    {ok, 5} = py:await(py:call_async(builtins, int, [<<"101">>], #{base => 2}), 5000),
    {ok, 7} = py:async_await(py:call_async('__main__', slow, [7])),
    {error, {'ValueError', _}} = py:await(py:call_async(math, sqrt, [-1])).

%% covers: py:await/2, error:timeout
await_timeout(_) ->
    Ref = py:call_async(time, sleep, [3600]),
    {Time, {error, timeout}} = py_test:timed(fun() -> py:await(Ref, 100) end),
    ?assert(Time < 5000),
    {ok, 1} = py:eval(<<"1">>).

%% covers: error:badarg, error:bad_option
refused(_) ->
    Ref = py:call_async(math, sqrt, nonsense),
    {error, {badarg, _}} = py:await(Ref),
    Ref2 = py:spawn_call(math, sqrt, [1], #{}, #{colour => red}),
    {error, {bad_option, colour}} = py:await(Ref2),
    Ref3 = py:call_async(math, sqrt, nonsense),
    ok = py:cancel(Ref3).

%% covers: py:cancel/1
cancel(_) ->
    Ref = py:call_async(time, sleep, [3600]),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats()) > 0 end),
    ok = py:cancel(Ref),
    ok = py:cancel(Ref),
    {ok, 1} = py:eval(<<"1">>).

%% covers: py:cancel/1
cancel_answered(_) ->
    Ref = py:call_async(math, sqrt, [16]),
    py_test:until(fun() -> py_test:mailbox() =/= [] end),
    ok = py:cancel(Ref),
    [] = py_test:mailbox().

%% A cancelled call that has not started never runs.
%% covers: py:cancel/1
cancel_queued(_) ->
    ok = py:exec(<<"counter.clear()">>),
    Slow = py:call_async('__main__', slow, [1, 0.5]),
    Queued = [py:call_async(builtins, exec, [<<"__import__('__main__').counter.append(1)">>, #{}]) || _ <- lists:seq(1, 10)],
    [ok = py:cancel(Ref) || Ref <- Queued],
    {ok, 1} = py:await(Slow),
    {ok, 0} = py:eval(<<"len(counter)">>).

%% covers: py:spawn_call/3,4,5
spawn_call(_) ->
    {ok, 4.0} = py:await(py:spawn_call(math, sqrt, [16])),
    {ok, 5} = py:await(py:spawn_call(builtins, int, [<<"101">>], #{base => 2})),
    {ok, nil} = py:await(py:spawn_call(time, sleep, [0], #{}, #{none => nil})),
    {ok, none} = py:await(py:spawn_call(time, sleep, [0.01], #{}, infinity)).

%% covers: py:spawn_call/5, error:timeout
deadline(_) ->
    Ref = py:spawn_call(time, sleep, [3600], #{}, 100),
    {Time, ok} = py_test:timed(fun() -> receive {py_error, Ref, timeout} -> ok end end),
    ?assert(Time < 5000),
    Answered = py:spawn_call('__main__', slow, [1], #{}, 10000),
    {ok, 1} = py:await(Answered).

%% covers: py:cast/4
cast(_) ->
    File = file_name(),
    ok = py:cast(builtins, exec, [<<"open(f, 'w').close()">>, #{f => File}]),
    py_test:until(fun() -> filelib:is_file(File) end),
    ok = file:delete(File).

%% covers: py:cast/3,4
cast_failure(_) ->
    ok = py:cast(math, sqrt, [-1]),
    ok = py:cast(math, sqrt, nonsense),
    ok = py:cast(no_such_module, f, [], #{}).

%% covers: py:cast/4
cast_outlives_caller(_) ->
    File = file_name(),
    Code = <<"import time; time.sleep(0.3); open(f, 'w').close()">>,
    {Pid, Monitor} = spawn_monitor(fun() -> ok = py:cast(builtins, exec, [Code, #{f => File}]) end),
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end,
    py_test:until(fun() -> filelib:is_file(File) end),
    ok = file:delete(File).

file_name() ->
    Name = "/tmp/py_async_" ++ os:getpid() ++ "_" ++ integer_to_list(erlang:unique_integer([positive])),
    list_to_binary(Name).

%% covers: guarantee:one_answer
many_in_flight(_) ->
    Refs = [{N, py:call_async(operator, add, [N, 1])} || N <- lists:seq(1, 5000)],
    [{ok, M} = py:await(Ref) || {N, Ref} <- Refs, M <- [N + 1]],
    ok.

%% Requests of one process to one worker start in the order of submission.
%% covers: guarantee:order
order(_) ->
    ok = py:exec(<<"counter.clear()">>),
    Refs = [py:call_async(builtins, exec, [<<"__import__('__main__').counter.append(n)">>, #{n => N}]) || N <- lists:seq(1, 500)],
    [{ok, none} = py:await(Ref) || Ref <- Refs],
    {ok, Seen} = py:eval(<<"counter">>),
    ?assertEqual(lists:seq(1, 500), Seen).

%% Cancellation against answers: nothing arrives after cancel/1, whoever was first.
%% covers: py:cancel/1, guarantee:no_late_message
cancel_races(_) ->
    lists:foreach(
        fun(N) ->
            Ref = py:call_async(time, sleep, [(N rem 5) * 0.0002]),
            case N rem 3 of
                0 -> erlang:yield();
                1 -> ok;
                2 -> _ = lists:sum(lists:seq(1, N * 20))
            end,
            ok = py:cancel(Ref)
        end,
        lists:seq(1, 2000)
    ),
    py_test:settled(),
    [] = py_test:mailbox().

%% covers: py:await/1, py:async_await/1,2
await_of_either(_) ->
    Ref = make_ref(),
    self() ! {py_result, Ref, 1},
    {ok, 1} = py:await(Ref),
    self() ! {py_response, Ref, {ok, 2}},
    {ok, 2} = py:async_await(Ref),
    self() ! {py_error, Ref, because},
    {error, because} = py:async_await(Ref, 0).

%% A request that was cancelled keeps no handle, and with it no monitor of its caller. Handles count as binaries.
cancelled_leave_nothing(_) ->
    Slow = [py:call_async('__main__', slow, [1, 0.5]) || _ <- lists:seq(1, 2)],
    Before = binaries(),
    [ok = py:cancel(py:call_async(math, sqrt, [16])) || _ <- lists:seq(1, 3000)],
    [{ok, 1} = py:await(Ref) || Ref <- Slow],
    py_test:until(fun() -> binaries() - Before < 3000 * 30 end, 5000).

binaries() ->
    _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
    erlang:memory(binary).

%% A caller that is killed while a dirty scheduler copies its arguments takes its request with it.
killed_while_submitting(_) ->
    Big = binary:copy(<<0>>, 256 * 1024 * 1024),
    lists:foreach(
        fun(Delay) ->
            {Pid, Monitor} = spawn_monitor(fun() -> py:call('__main__', slow, [{bytes, Big}, 3600]) end),
            %% The delay makes the death meet another part of the submission; what is asserted holds for each.
            receive after Delay -> exit(Pid, kill) end,
            receive {'DOWN', Monitor, process, _, killed} -> ok end,
            py_test:settled()
        end,
        [3, 10, 30, 60]
    ),
    py_test:whole(default).

%% Whoever gives up a place in a queue at the moment of its turn does not find the turn in its mailbox later.
%% covers: py_semaphore:acquire/1
waiting_leaves_no_message(_) ->
    Before = py_semaphore:max_concurrent(),
    ok = py_semaphore:set_max_concurrent(2),
    Callers = [
        spawn_monitor(fun() ->
            _ = [[ok = py_semaphore:release() || ok <- [py_semaphore:acquire(K rem 2)]] || K <- lists:seq(1, 500)],
            %% Another process waits for its turn after this one: whatever was on its way is there.
            ok = py_semaphore:acquire(infinity),
            ok = py_semaphore:release(),
            exit({left, py_test:mailbox()})
        end)
     || _ <- lists:seq(1, 40)
    ],
    [receive {'DOWN', Monitor, process, _, Reason} -> {left, []} = Reason end || {_, Monitor} <- Callers],
    ok = py_semaphore:set_max_concurrent(Before).

%% An interruption that comes while the loop makes a task ends the task.
%% covers: py:cancel/1, guarantee:nothing_left
cancelled_at_its_start(_) ->
    ok = py:exec(<<"
        import asyncio, erlang, gc, time
        kept = []
        async def forever():
            kept.append(asyncio.get_running_loop().create_future())
            await kept[-1]
        async def slow_starts(pid):
            loop = asyncio.get_running_loop()
            call_soon = loop.call_soon
            def slow(callback, *args, **kwargs):
                handle = call_soon(callback, *args, **kwargs)
                if 'TaskStep' in type(callback).__name__:
                    loop.call_soon = call_soon
                    erlang.send(pid, 'starts')
                    time.sleep(0.3)
                return handle
            loop.call_soon = slow
        async def tasks():
            # One whose making failed is in no list of asyncio.
            tasks = [t for t in gc.get_objects() if isinstance(t, asyncio.Task)]
            return sum(t.get_coro().__name__ == 'forever' and not t.done() for t in tasks)
    ">>, #{pool => async}),
    {ok, none} = py:async_await(py:async_call('__main__', slow_starts, [self()])),
    Ref = py:async_call('__main__', forever, []),
    %% A task that starts eagerly needs no call_soon.
    receive <<"starts">> -> ok after 1000 -> ok end,
    ok = py:cancel(Ref),
    py_test:until(fun() -> py:async_await(py:async_call('__main__', tasks, [])) =:= {ok, 0} end).
