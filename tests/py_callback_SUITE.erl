%% Python calls Erlang: by name, from every thread, nested, and what happens when either side fails.
-module(py_callback_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("common_test/include/ct.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [{group, one_worker}, {group, two_executors}].

groups() ->
    Cases = [
        call_by_name, attributes, import_names, dunder_names, own_functions_win, module_and_function, registration, values, large_values,
        erlang_errors, unknown_name, unencodable, python_error_crosses, executed_once, callers, killed_function, server_restart,
        every_kind_of_request, other_threads, no_limit_but_the_deadline, deadline, deadline_in_thread, worker_death, caller_death,
        order_of_reply, coroutine, generator_and_finaliser, nested, nested_200, nested_low_concurrency, nested_through_process,
        nested_through_thread, unrelated_work_goes_on, long_request_beside, fast_answer_beside_long_request, thread_locals, affinity,
        parallel_chains, too_deep, many_failures, forked_child, sends, send_before_reply, send_errors, self_and_whereis, state_from_python,
        signal_handler, cast_and_async, moved_request, stop_during_callback
    ],
    [{one_worker, [], Cases}, {two_executors, [], Cases}].

init_per_group(one_worker, Config) ->
    Env = [{num_workers, 1}],
    ok = py_test:start(Env),
    [{env, Env} | Config];
init_per_group(two_executors, Config) ->
    Env = [{num_workers, 2}, {num_executors, 2}],
    ok = py_test:start(Env),
    [{env, Env} | Config].

end_per_group(_Group, _Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = py:register_function(echo, fun(Args) -> Args end),
    ok = py:register_function(add, fun([A, B]) -> A + B end),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = [ok = py:unregister_function(Name) || {Name, _} <- ets:tab2list(py_callbacks)],
    py:unbind(),
    py_test:settled(),
    py_test:until(fun() -> map_size(sys:get_state(py_callback)) =:= 0 end).

%% Names

%% covers: erlang.call
call_by_name(_) ->
    {ok, 3} = py:eval(<<"erlang.call('add', 1, 2)">>),
    {ok, []} = py:eval(<<"erlang.call('echo')">>),
    {ok, [1, 2.5, <<"x">>]} = py:eval(<<"erlang.call('echo', 1, 2.5, 'x')">>),
    {error, {'TypeError', _}} = py:eval(<<"erlang.call()">>),
    {error, {'TypeError', _}} = py:eval(<<"erlang.call(1)">>),
    {error, {'TypeError', _}} = py:eval(<<"erlang.call('echo', key=1)">>).

%% covers: erlang.NAME
attributes(_) ->
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>),
    {ok, [true, false]} = py:eval(<<"[hasattr(erlang, 'add'), hasattr(erlang, 'missing')]">>),
    ok = py:register_function(missing, fun(_) -> found end),
    {ok, [true, <<"found">>]} = py:eval(<<"[hasattr(erlang, 'missing'), erlang.missing()]">>),
    ok = py:unregister_function(missing),
    {ok, false} = py:eval(<<"hasattr(erlang, 'missing')">>),
    {error, {'AttributeError', _}} = py:eval(<<"erlang.missing">>),
    {ok, <<"add">>} = py:eval(<<"erlang.add.__name__">>).

%% covers: erlang.import
import_names(_) ->
    ok = py:exec(<<"from erlang import add, echo as other\nresult = [add(1, 2), other(3)]">>),
    {ok, [3, [3]]} = py:eval(<<"result">>),
    {error, {'ImportError', _}} = py:exec(<<"from erlang import missing">>).

dunder_names(_) ->
    Self = self(),
    ok = py:register_function('__path__', fun(_) -> Self ! asked end),
    ok = py:register_function('__wrapped__', fun(_) -> Self ! asked end),
    {ok, [false, false]} = py:eval(<<"[hasattr(erlang, '__path__'), hasattr(erlang, '__wrapped__')]">>).

%% covers: erlang.NAME
own_functions_win(_) ->
    ok = py:register_function(call, fun(_) -> wrong end),
    ok = py:register_function(send, fun(_) -> wrong end),
    {ok, 3} = py:eval(<<"erlang.call('add', 1, 2)">>),
    {ok, <<"wrong">>} = py:eval(<<"erlang.call('send')">>).

%% covers: py:register_function/3
module_and_function(_) ->
    ok = py:register_function(total, lists, sum),
    {ok, 6} = py:eval(<<"erlang.total(1, 2, 3)">>).

%% covers: py:register_function/2, py:unregister_function/1, py_callback:register/2, py_callback:unregister/1
%% covers: py_callback:lookup/1
registration(_) ->
    ok = py:register_function("text", fun(_) -> 1 end),
    {ok, 1} = py:eval(<<"erlang.text()">>),
    ok = py:register_function(<<"text">>, fun(_) -> 2 end),
    {ok, 2} = py:eval(<<"erlang.text()">>),
    {ok, F} = py_callback:lookup(text),
    2 = F([]),
    ok = py_callback:unregister(text),
    {error, not_found} = py_callback:lookup(text),
    ok = py_callback:register(text, {lists, reverse}),
    {ok, {lists, reverse}} = py_callback:lookup("text"),
    {error, {badarg, function}} = py:register_function(x, fun() -> 1 end),
    {error, {badarg, function}} = py:register_function(x, 1),
    {error, {badarg, name}} = py:register_function(1, fun(_) -> 1 end),
    {error, {badarg, name}} = py:unregister_function({}),
    ok = py:unregister_function(never).

%% Values and errors

%% covers: erlang.call
values(_) ->
    Ref = make_ref(),
    ok = py:register_function(give, fun([N]) -> element(N, {none, #{a => [1, {2}]}, Ref, self(), 1 bsl 200, <<255>>}) end),
    {ok, none} = py:eval(<<"erlang.give(1)">>),
    {ok, #{<<"a">> := [1, {2}]}} = py:eval(<<"erlang.give(2)">>),
    {ok, Ref} = py:eval(<<"erlang.give(3)">>),
    {ok, Pid} = py:eval(<<"erlang.give(4)">>),
    true = is_pid(Pid),
    true = 1 bsl 200 =:= element(2, py:eval(<<"erlang.give(5)">>)),
    {ok, <<"bytes">>} = py:eval(<<"type(erlang.give(6)).__name__">>),
    {ok, [[Ref]]} = py:eval(<<"erlang.echo([r])">>, #{r => Ref}).

%% covers: erlang.call
large_values(_) ->
    ok = py:register_function(size, fun([B]) -> byte_size(B) end),
    ok = py:register_function(make, fun([N]) -> binary:copy(<<"x">>, N) end),
    ok = py:register_function(list, fun([N]) -> lists:seq(1, N) end),
    [
        begin
            {ok, N} = py:eval(<<"erlang.size(b'x' * n)">>, #{n => N}),
            {ok, N} = py:eval(<<"len(erlang.make(n))">>, #{n => N})
        end
     || N <- [0, 900, 1007, 1008, 1009, 16383, 16384, 100000, 3000000, 30000000]
    ],
    {ok, 200000} = py:eval(<<"len(erlang.list(200000))">>),
    {ok, 200000} = py:eval(<<"len(erlang.echo(*range(200000)))">>),
    %% What an answer took is given back.
    [{ok, 500000} = py:eval(<<"len(erlang.make(500000))">>) || _ <- lists:seq(1, 100)].

%% covers: error:callback
erlang_errors(_) ->
    ok = py:register_function(fail, fun([Class]) -> erlang:raise(binary_to_existing_atom(Class), {oops, 1}, []) end),
    [
        {error, {'RuntimeError', Text}} = py:eval(<<"erlang.fail(c)">>, #{c => Class})
     || {Class, Text} <- [{error, "error: {oops,1}"}, {exit, "exit: {oops,1}"}, {throw, "throw: {oops,1}"}]
    ],
    {error, {'RuntimeError', "error: function_clause"}} = py:eval(<<"erlang.add(1)">>),
    ok = py:exec(<<"try:\n  erlang.add(1)\nexcept RuntimeError as e:\n  caught = str(e)">>),
    {ok, <<"error: function_clause">>} = py:eval(<<"caught">>),
    ok = py:register_function(long, fun(_) -> error(lists:duplicate(10000, $ä)) end),
    {error, {'RuntimeError', "error: " ++ _}} = py:eval(<<"erlang.long()">>).

%% covers: error:callback
unknown_name(_) ->
    {error, {'RuntimeError', "Function 'nobody' not registered"}} = py:eval(<<"erlang.call('nobody')">>).

%% covers: error:callback
unencodable(_) ->
    ok = py:register_function(improper, fun(_) -> [1 | 2] end),
    {error, {'RuntimeError', "error: {unsupported_term,[1|2]}"}} = py:eval(<<"erlang.improper()">>),
    {error, {'ValueError', _}} = py:eval(<<"(lambda l: (l.append(l), erlang.echo(l)))([])">>),
    ok = py:exec(<<"class Bad:\n  def __str__(self): raise KeyError('no')">>),
    {error, {'KeyError', _}} = py:eval(<<"erlang.echo(Bad())">>),
    {ok, [1]} = py:eval(<<"erlang.echo(1)">>).

%% covers: error:callback
python_error_crosses(_) ->
    ok = py:register_function(back, fun([Code]) -> py:eval(Code) end),
    {ok, {<<"error">>, {<<"ZeroDivisionError">>, Message}}} = py:eval(<<"erlang.back('1 / 0')">>),
    "division by zero" = Message.

%% covers: guarantee:callback_once
executed_once(_) ->
    Count = counters:new(1, []),
    ok = py:register_function(count, fun(_) -> counters:add(Count, 1, 1) end),
    ok = py:exec(<<"steps = []\ndef work():\n  steps.append(1)\n  erlang.count()\n  steps.append(2)\n  erlang.count()\n  return len(steps)">>),
    {ok, 2} = py:eval(<<"work()">>),
    2 = counters:get(Count, 1).

%% covers: guarantee:callback_once
callers(_) ->
    ok = py:register_function(callers, fun(_) -> [get('$callers'), self()] end),
    Self = self(),
    {ok, [[Self], Runner]} = py:eval(<<"erlang.callers()">>),
    true = Runner =/= Self.

%% covers: error:callback
killed_function(_) ->
    ok = py:register_function(die, fun(_) -> exit(self(), kill), receive never -> ok end end),
    {error, {'RuntimeError', "exit: killed"}} = py:eval(<<"erlang.die()">>),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

server_restart(_) ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> 7 end end),
    Ref = py:call_async(erlang, call, [hang]),
    Runner = receive {runs, Pid} -> Pid end,
    Server = whereis(py_callback),
    exit(Server, kill),
    py_test:until(fun() -> is_pid(whereis(py_callback)) andalso whereis(py_callback) =/= Server end),
    Runner ! go,
    {ok, 7} = py:await(Ref),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

every_kind_of_request(_) ->
    {ok, [5]} = py:call(erlang, call, [echo, 5]),
    {ok, [5]} = py:call(erlang, echo, [5]),
    ok = py:exec(<<"x = erlang.echo(6)">>),
    {ok, [6]} = py:eval(<<"x">>),
    {ok, [{ok, [1]}, {ok, [2]}]} = py:parallel([{erlang, call, [echo, 1]}, {erlang, call, [echo, 2]}]).

%% covers: erlang.call
other_threads(_) ->
    ok = py:exec(
        <<"import threading, concurrent.futures\n"
          "def in_threads(n):\n"
          "  with concurrent.futures.ThreadPoolExecutor(8) as pool:\n"
          "    return list(pool.map(lambda i: erlang.add(i, i), range(n)))">>
    ),
    Expected = [2 * I || I <- lists:seq(0, 299)],
    {ok, Expected} = py:eval(<<"in_threads(300)">>).

%% covers: erlang.call
no_limit_but_the_deadline(_) ->
    ok = py:register_function(slow, fun([T]) -> receive after T -> done end end),
    {ok, <<"done">>} = py:call(erlang, call, [slow, 1500], #{}, infinity).

%% covers: guarantee:deadline
deadline(_) ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> late end end),
    {Time, {error, timeout}} = py_test:timed(fun() -> py:call(erlang, call, [hang], #{}, 300) end),
    true = Time < 2000,
    Runner = receive {runs, Pid} -> Pid end,
    %% The worker serves on, and a late answer hits nobody.
    py_test:settled(),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>),
    Runner ! go,
    [{ok, [N]} = py:call(erlang, call, [echo, N]) || N <- lists:seq(1, 300)].

deadline_in_thread(_) ->
    %% A nested request runs in a spare thread, which no signal reaches.
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> late end end),
    ok = py:register_function(outer, fun(_) -> py:call(erlang, call, [hang], #{}, 300) end),
    {ok, {<<"error">>, <<"timeout">>}} = py:eval(<<"erlang.outer()">>),
    receive {runs, Pid} -> Pid ! go end,
    py_test:settled().

%% covers: error:worker_down
worker_death(_) ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> late end end),
    ok = py:exec(<<"import os">>),
    {ok, OsPid} = py:eval(<<"os.getpid()">>),
    Ref = py:call_async(erlang, call, [hang]),
    Runner = receive {runs, Pid} -> Pid end,
    py_test:kill("KILL", OsPid),
    {error, {worker_down, _}} = py:await(Ref, 10000),
    Runner ! go,
    py:unbind(),
    py_test:whole(default),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

%% covers: guarantee:caller_death
caller_death(_) ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> late end end),
    Caller = spawn(fun() -> py:call(erlang, call, [hang], #{}, infinity) end),
    Runner = receive {runs, Pid} -> Pid end,
    exit(Caller, kill),
    py_test:settled(),
    Runner ! go,
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

%% covers: guarantee:one_answer
order_of_reply(_) ->
    %% The answers of calls that call back and of calls that do not are never mixed up.
    Work = fun(N) ->
        [
            case (I + N) rem 2 of
                0 -> {ok, [[I]]} = py:call(erlang, call, [echo, [I]]);
                1 -> {ok, I} = py:call(builtins, abs, [-I])
            end
         || I <- lists:seq(1, 300)
        ]
    end,
    Pids = [spawn_monitor(fun() -> Work(N) end) || N <- lists:seq(1, 6)],
    [receive {'DOWN', Ref, process, _, Reason} -> normal = Reason end || {_, Ref} <- Pids],
    ok.

coroutine(_) ->
    ok = py:exec(<<"import asyncio\nasync def co(n):\n  await asyncio.sleep(0)\n  return await erlang.async_call('echo', n)">>),
    {ok, [4]} = py:eval(<<"co(4)">>).

generator_and_finaliser(_) ->
    {ok, [[0], [1], [2]]} = py:eval(<<"[x for x in (erlang.echo(i) for i in range(3))]">>),
    Self = self(),
    ok = py:register_function(note, fun([X]) -> Self ! {note, X} end),
    ok = py:exec(<<"class Loud:\n  def __del__(self): erlang.note('gone')\nx = Loud()\ndel x">>),
    receive {note, <<"gone">>} -> ok end.

%% Nested calls

register_descend() ->
    ok = py:register_function(descend, fun([N]) ->
        {ok, V} = py:call('__main__', down, [N], #{}, 60000),
        V
    end),
    ok = py:exec_all(<<"def down(n):\n  return n if n <= 0 else 1 + erlang.descend(n - 1)">>).

%% covers: guarantee:nesting
nested(_) ->
    register_descend(),
    {ok, 1} = py:call('__main__', down, [1]),
    {ok, 5} = py:call('__main__', down, [5]),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

%% covers: guarantee:nesting, config:max_threads
nested_200(_) ->
    register_descend(),
    {ok, 200} = py:call('__main__', down, [200], #{}, 60000),
    {ok, 200} = py:call('__main__', down, [200], #{}, 60000).

%% covers: guarantee:nesting
nested_low_concurrency(_) ->
    register_descend(),
    ok = py_semaphore:set_max_concurrent(5),
    try
        {ok, 200} = py:call('__main__', down, [200], #{}, 60000),
        Refs = [py:call_async('__main__', down, [10]) || _ <- lists:seq(1, 4)],
        [{ok, 10} = py:await(Ref) || Ref <- Refs],
        py_test:until(fun() -> py_semaphore:current() =:= 0 end)
    after
        ok = py_semaphore:set_max_concurrent(16384)
    end.

%% covers: guarantee:nesting
nested_through_process(_) ->
    Self = self(),
    Server = spawn_link(fun Serve() ->
        receive
            {From, Ref, N} -> From ! {Ref, py:call(math, sqrt, [N])}, Serve();
            stop -> unlink(Self)
        end
    end),
    ok = py:register_function(ask, fun([N]) ->
        Ref = make_ref(),
        Server ! {self(), Ref, N},
        receive {Ref, {ok, V}} -> V end
    end),
    {Time, {ok, 3.0}} = py_test:timed(fun() -> py:eval(<<"erlang.ask(9)">>) end),
    true = Time < 5000,
    %% Also while something unrelated keeps the executors busy.
    ok = py:exec(<<"import time">>),
    Long = [py:call_async(time, sleep, [1]) || _ <- lists:seq(1, 4)],
    {ok, 4.0} = py:eval(<<"erlang.ask(16)">>),
    [{ok, none} = py:await(Ref) || Ref <- Long],
    Server ! stop.

%% covers: guarantee:nesting
nested_through_thread(_) ->
    %% The request waits for a thread of its own, whose Erlang function needs the same worker.
    ok = py:register_function(root, fun([N]) -> {ok, V} = py:call(math, sqrt, [N]), V end),
    ok = py:exec(
        <<"import concurrent.futures\n"
          "def roots():\n"
          "  with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
          "    return list(pool.map(erlang.root, [1, 4, 9, 16]))">>
    ),
    {ok, [1.0, 2.0, 3.0, 4.0]} = py:eval(<<"roots()">>).

unrelated_work_goes_on(_) ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> fine end end),
    Refs = [py:call_async(erlang, call, [hang]) || _ <- lists:seq(1, 10)],
    Runners = [receive {runs, Pid} -> Pid end || _ <- Refs],
    [{ok, 4.0} = py:call(math, sqrt, [16], #{}, 10000) || _ <- lists:seq(1, 200)],
    [Pid ! go || Pid <- Runners],
    [{ok, <<"fine">>} = py:await(Ref) || Ref <- Refs].

long_request_beside(_) ->
    %% While a request waits in a callback, a long one may take the executor; nested work does not wait for it.
    Self = self(),
    ok = py:register_function(hang, fun(_) ->
        Self ! {runs, self()},
        receive go -> {ok, V} = py:call(math, sqrt, [25]), V end
    end),
    Ref = py:call_async(erlang, call, [hang]),
    Runner = receive {runs, Pid} -> Pid end,
    ok = py:exec(<<"import time">>),
    Long = [py:call_async(time, sleep, [2]) || _ <- lists:seq(1, 3)],
    {Time, {ok, 5.0}} = py_test:timed(fun() -> Runner ! go, py:await(Ref) end),
    true = Time < 1000,
    [{ok, none} = py:await(R) || R <- Long].

fast_answer_beside_long_request(_) ->
    %% The answer to a callback waits behind nothing, even when requests fill the worker's queue.
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> done end end),
    Ref = py:call_async(erlang, call, [hang]),
    Runner = receive {runs, Pid} -> Pid end,
    ok = py:exec(<<"import time">>),
    Long = [py:call_async(time, sleep, [1]) || _ <- lists:seq(1, 6)],
    {Time, {ok, <<"done">>}} = py_test:timed(fun() -> Runner ! go, py:await(Ref) end),
    true = Time < 500,
    [{ok, none} = py:await(R) || R <- Long].

thread_locals(Config) ->
    case proplists:get_value(num_workers, ?config(env, Config)) of
        1 -> stays_in_main_thread();
        _ -> ok
    end.

stays_in_main_thread() ->
    ok = py:register_function(inner, fun(_) -> {ok, V} = py:eval(<<"threading.current_thread() is threading.main_thread()">>), V end),
    ok = py:exec(
        <<"import threading, sqlite3\nlocal = threading.local()\nlocal.x = 1\ndb = sqlite3.connect(':memory:')\n"
          "db.execute('create table t (x int)')">>
    ),
    {ok, [false, 1, true]} = py:eval(<<"[erlang.inner(), local.x, threading.current_thread() is threading.main_thread()]">>),
    {ok, none} = py:eval(<<"db.execute('insert into t values (1)') and None">>),
    {ok, [1, true]} = py:eval(<<"[local.x, threading.current_thread() is threading.main_thread()]">>).

affinity(_) ->
    %% A process tied to a worker calls back into that worker.
    ok = py:register_function(inner, fun([]) -> {ok, V} = py:eval(<<"mine">>), V end),
    ok = py:exec(<<"import os\nmine = os.getpid()">>),
    {ok, true} = py:eval(<<"erlang.inner() == mine">>).

%% covers: guarantee:nesting
parallel_chains(_) ->
    register_descend(),
    Pids = [spawn_monitor(fun() -> [{ok, 12} = py:call('__main__', down, [12], #{}, 60000) || _ <- [1, 2, 3]] end) || _ <- lists:seq(1, 8)],
    [receive {'DOWN', Ref, process, _, Reason} -> normal = Reason end || {_, Ref} <- Pids],
    ok.

%% covers: config:max_threads
too_deep(_) ->
    register_descend(),
    %% The error of the innermost call comes back through all levels.
    {error, {'RuntimeError', _}} = py:call('__main__', down, [2000], #{}, 60000),
    py_test:settled(),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>),
    {ok, 50} = py:call('__main__', down, [50], #{}, 60000).

many_failures(_) ->
    ok = py:register_function(fail, fun(_) -> error(no) end),
    ok = py:exec(
        <<"def failures(n):\n  k = 0\n  for _ in range(n):\n    try: erlang.fail()\n    except RuntimeError: k += 1\n  return k">>
    ),
    {ok, 10000} = py:call('__main__', failures, [10000], #{}, 60000),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

%% covers: erlang.child
forked_child(_) ->
    ok = py:exec(
        <<"import os\n"
          "def in_child():\n"
          "  pid = os.fork()\n"
          "  if pid == 0:\n"
          "    try:\n"
          "      from erlang import anything\n"
          "      anything()\n"
          "    except RuntimeError:\n"
          "      os._exit(7)\n"
          "    except BaseException:\n"
          "      os._exit(8)\n"
          "    os._exit(9)\n"
          "  return os.waitpid(pid, 0)[1] >> 8">>
    ),
    {ok, 7} = py:eval(<<"in_child()">>).

%% Messages

%% covers: erlang.send, erlang.atom
sends(_) ->
    true = register(py_callback_suite_receiver, self()),
    {ok, none} = py:eval(<<"erlang.send(p, {'a': [1, 2.5, None]})">>, #{p => self()}),
    receive #{<<"a">> := [1, 2.5, none]} -> ok end,
    {ok, none} = py:eval(<<"erlang.send('py_callback_suite_receiver', 'hello')">>),
    receive <<"hello">> -> ok end,
    {ok, none} = py:eval(<<"erlang.send(erlang.atom('py_callback_suite_receiver'), (erlang.atom('ok'), b'x' * 5000000))">>),
    receive {ok, Big} -> 5000000 = byte_size(Big) end,
    true = unregister(py_callback_suite_receiver),
    {ok, none} = py:eval(<<"[erlang.send(p, i) for i in range(10000)] and None">>, #{p => self()}),
    [receive I -> ok end || I <- lists:seq(0, 9999)],
    ok.

%% covers: guarantee:send_before_reply
send_before_reply(_) ->
    ok = py:exec_all(<<"def tell(p, n):\n  erlang.send(p, n)\n  return n">>),
    [
        begin
            {ok, N} = py:call('__main__', tell, [self(), N]),
            receive N -> ok after 0 -> ct:fail({not_there, N}) end
        end
     || N <- lists:seq(1, 500)
    ],
    %% Also what a thread of the request has sent.
    ok = py:exec(<<"import threading\ndef tell2(p, n):\n  t = threading.Thread(target=erlang.send, args=(p, n)); t.start(); t.join()\n  return n">>),
    [
        begin
            {ok, N} = py:call('__main__', tell2, [self(), N]),
            receive N -> ok after 0 -> ct:fail({not_there, N}) end
        end
     || N <- lists:seq(1, 100)
    ].

%% covers: erlang.send
send_errors(_) ->
    {error, {'TypeError', _}} = py:eval(<<"erlang.send(1, 2)">>),
    {error, {'TypeError', _}} = py:eval(<<"erlang.send('x')">>),
    {ok, none} = py:eval(<<"erlang.send('nobody has this name', 1)">>),
    Dead = spawn(fun() -> ok end),
    {ok, none} = py:eval(<<"erlang.send(p, 1)">>, #{p => Dead}),
    {ok, 3} = py:eval(<<"erlang.add(1, 2)">>).

%% covers: erlang.self, erlang.whereis
self_and_whereis(_) ->
    Self = self(),
    {ok, Self} = py:eval(<<"erlang.self()">>),
    Kernel = whereis(kernel_sup),
    {ok, Kernel} = py:eval(<<"erlang.whereis('kernel_sup')">>),
    {ok, none} = py:eval(<<"erlang.whereis('nobody has this name')">>),
    {error, {'TypeError', _}} = py:eval(<<"erlang.whereis(1)">>),
    %% A thread that runs no request has no Erlang process.
    ok = py:exec(<<"import threading\nseen = []\nt = threading.Thread(target=lambda: seen.append(erlang.self())); t.start(); t.join()">>),
    {ok, [none]} = py:eval(<<"seen">>).

%% covers: erlang.state_get, erlang.state_set, erlang.state_delete, erlang.state_keys, erlang.state_clear
%% covers: erlang.state_incr, erlang.state_decr
state_from_python(_) ->
    ok = py:state_clear(),
    {ok, none} = py:eval(<<"erlang.state_get('k')">>),
    {ok, 5} = py:eval(<<"erlang.state_get('k', 5)">>),
    {ok, none} = py:eval(<<"erlang.state_set('k', {'v': [1]})">>),
    {ok, #{<<"v">> := [1]}} = py:state_fetch(<<"k">>),
    {ok, #{<<"v">> := [1]}} = py:eval(<<"erlang.state_get('k')">>),
    {ok, [<<"k">>]} = py:eval(<<"erlang.state_keys()">>),
    {ok, none} = py:eval(<<"erlang.state_delete('k')">>),
    {error, not_found} = py:state_fetch(<<"k">>),
    {ok, [1, 11, 10, 4]} = py:eval(
        <<"[erlang.state_incr('n'), erlang.state_incr('n', 10), erlang.state_decr('n'), erlang.state_decr('n', 6)]">>
    ),
    {error, {'RuntimeError', "error: not_an_integer"}} = py:eval(<<"[erlang.state_set('s', 'x'), erlang.state_incr('s')]">>),
    {ok, none} = py:eval(<<"erlang.state_clear()">>),
    [] = py:state_keys().

%% The rest

signal_handler(Config) ->
    case proplists:get_value(num_workers, ?config(env, Config)) of
        1 -> signal_during_wait();
        _ -> ok
    end.

%% A handler runs while the main thread waits for Erlang, and may call Erlang itself.
signal_during_wait() ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> done end end),
    ok = py:register_function(note, fun([X]) -> Self ! {note, X} end),
    ok = py:exec(
        <<"import signal, os\ndef handler(*_): erlang.note('signal')\nsignal.signal(signal.SIGUSR1, handler)\nhere = os.getpid()">>
    ),
    {ok, OsPid} = py:eval(<<"here">>),
    Ref = py:call_async(erlang, call, [hang]),
    Runner = receive {runs, Pid} -> Pid end,
    py_test:kill("USR1", OsPid),
    receive {note, <<"signal">>} -> ok end,
    Runner ! go,
    {ok, <<"done">>} = py:await(Ref),
    ok = py:exec(<<"signal.signal(signal.SIGUSR1, signal.SIG_DFL)">>).

%% covers: py:cast/3, guarantee:callback_once
cast_and_async(_) ->
    Self = self(),
    ok = py:register_function(note, fun([X]) -> Self ! {note, X, get('$callers')} end),
    ok = py:cast(erlang, call, [note, 1]),
    receive {note, 1, []} -> ok end,
    Ref = py:call_async(erlang, call, [note, 2]),
    {ok, _} = py:await(Ref),
    receive {note, 2, [Self]} -> ok end.

%% A nested request that lost its worker before it started is still known as nested where it goes.
moved_request(_) ->
    ok = py:register_function(inner, fun([X]) -> {ok, V} = py:call(builtins, abs, [X]), V end),
    ok = py:register_function(outer, fun([X]) -> {ok, V} = py:call(erlang, call, [inner, X]), V end),
    Refs = [py:call_async(erlang, call, [outer, -N]) || N <- lists:seq(1, 100)],
    [{ok, N} = py:await(Ref) || {Ref, N} <- lists:zip(Refs, lists:seq(1, 100))],
    ok.

%% covers: config:stop_timeout
stop_during_callback(Config) ->
    Self = self(),
    ok = py:register_function(hang, fun(_) -> Self ! {runs, self()}, receive go -> late end end),
    Ref = py:call_async(erlang, call, [hang]),
    Runner = receive {runs, Pid} -> Pid end,
    ok = application:set_env(erlang_python, stop_timeout, 100),
    ok = application:stop(erlang_python),
    {error, {worker_down, _}} = py:await(Ref, 10000),
    Runner ! go,
    ok = py_test:start(?config(env, Config)),
    ok.
