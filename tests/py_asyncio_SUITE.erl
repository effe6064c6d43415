%% Pool async: coroutines side by side on the event loop of one worker.
-module(py_asyncio_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        messages, number_of_workers, kinds_of_functions, options, plain_functions_leave_the_loop_alone, many_plain_functions, thousand_sleepers,
        twenty_thousand, cancel, caller_death, timeout_hits_one, timeout_of_plain_function, interrupts, queued_plain_function, swallowed_cancellation,
        blocked_loop, worker_death, exceptions, own_request, context_variables, asyncio_of_newer_pythons, call_under_the_loop,
        plain_function_calls_back, tls, subprocess, unix_socket, signals, tied_process, bound_process, context, permits, large_values, stop_runs_exit_code,
        idle_costs_nothing, user_pool, loop_option, registered_submit
    ].

init_per_suite(Config) ->
    ok = py_test:start([{num_async_workers, 1}]),
    ok = py_test:define(<<"
        import asyncio, contextvars, os, socket, ssl, signal, sys, threading, time, functools
        import erlang

        started = []
        log = []

        async def double(x, delay=0):
            await asyncio.sleep(delay)
            return 2 * x

        async def note(n):
            started.append(n)
            while len(started) < 1000:
                await asyncio.sleep(0.01)
            return n

        async def forever(name):
            try:
                await asyncio.sleep(3600)
            except BaseException as error:
                log.append((name, type(error).__name__))
                raise

        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    log.append('swallowed')

        async def block():
            await asyncio.sleep(0)
            time.sleep(3600)

        def thread():
            return threading.current_thread() is threading.main_thread()

        async def on_main():
            return thread()

        class Callable:
            async def __call__(self, x):
                return (thread(), x)

        instance = Callable()
        partial = functools.partial(double, 21)

        def returns_coroutine(x):
            return double(x)

        async def me():
            mine = erlang.self()
            await asyncio.sleep(0.05)
            there = await asyncio.to_thread(erlang.self) if hasattr(asyncio, 'to_thread') else mine
            task = await asyncio.create_task(inner())
            return [mine, erlang.self(), there, task]

        async def inner():
            return erlang.self()

        def me_in_thread():
            return erlang.self()
    ">>),
    {ok, true} = py:await(py:async_call('__main__', on_main, [])),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py_test:settled(),
    py:unbind().

%% A worker serves a moment before its table says so.
worker() ->
    py_test:whole(async),
    [Pid] = py_test:os_pids(async),
    Pid.

run(Function, Args) ->
    py:await(py:async_call('__main__', Function, Args)).

fetch(Name) ->
    py:eval(Name, #{}, #{pool => async}).

clear() ->
    {ok, _} = py:eval(<<"[started.clear(), log.clear()]">>, #{}, #{pool => async}).

%% covers: py:async_call/3,4, py:async_await/1, message:py_result
messages(_) ->
    Ref = py:async_call(asyncio, sleep, [0, 5]),
    ?assert(is_reference(Ref)),
    receive {py_result, Ref, 5} -> ok end,
    Failing = py:async_call(math, sqrt, [-1]),
    receive {py_error, Failing, {'ValueError', _}} -> ok end,
    {ok, 14} = py:async_await(py:async_call('__main__', double, [7], #{delay => 0.01})),
    {ok, 14} = py:await(py:async_call('__main__', double, [7])).

%% covers: py:async_call/3
kinds_of_functions(_) ->
    {ok, true} = run(on_main, []),
    {ok, false} = run(thread, []),
    {ok, {true, 1}} = run(instance, [1]),
    {ok, 42} = run(partial, []),
    {ok, 8} = run(returns_coroutine, [4]),
    %% Needs a running loop, though it is no coroutine function.
    {ok, []} = py:await(py:async_call(asyncio, gather, [])),
    {ok, 3} = py:eval(<<"1 + 2">>, #{}, #{pool => async}),
    {ok, 6} = py:call('__main__', double, [3], #{}, #{pool => async}),
    {error, {'ModuleNotFoundError', _}} = py:await(py:async_call(no_such_module, f, [])),
    {error, {'AttributeError', _}} = py:await(py:async_call(asyncio, no_such_function, [])).

%% covers: py:async_call/5
options(_) ->
    {ok, none} = py:await(py:async_call(asyncio, sleep, [0], #{}, infinity)),
    {ok, nil} = py:await(py:async_call(asyncio, sleep, [0], #{}, #{none => nil})),
    {error, #{type := 'ValueError'}} = py:await(py:async_call(math, sqrt, [-1], #{}, #{error => map})),
    {error, {bad_option, colour}} = py:await(py:async_call(asyncio, sleep, [0], #{}, #{colour => red})),
    {error, {badarg, _}} = py:await(py:async_call(asyncio, sleep, nonsense)),
    Ref = py:async_call(asyncio, sleep, [3600], #{}, 50),
    receive {py_error, Ref, timeout} -> ok end,
    {ok, Object} = py:await(py:async_call('__main__', double, [4], #{}, #{return => ref})),
    {ok, 8} = py:to_term(Object).

%% The loop goes on while a plain function sleeps.
plain_functions_leave_the_loop_alone(_) ->
    Slow = py:async_call(time, sleep, [3600]),
    {ok, 4} = run(double, [2]),
    {ok, 16} = run(double, [8]),
    {error, timeout} = py:await(Slow, 0),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(async)) =:= 0 end),
    py_test:whole(async).

%% covers: config:num_async_workers
number_of_workers(_) ->
    {ok, #{default := #{num_workers := 3}}} = py_config:load([{num_workers, 3}]),
    1 = length(py_test:os_pids(async)).

%% More of them than may run at once: each gets its turn.
many_plain_functions(_) ->
    ok = py_test:define(<<"
        guard, running = threading.Lock(), [0, 0]
        def plain(n):
            with guard:
                running[0] += 1
                running[1] = max(running)
            time.sleep(0.001)
            with guard:
                running[0] -= 1
            return n
    ">>),
    Refs = [{N, py:async_call('__main__', plain, [N])} || N <- lists:seq(1, 300)],
    [?assertEqual({ok, N}, py:await(Ref)) || {N, Ref} <- Refs],
    {ok, [0, Most]} = fetch(<<"running">>),
    #{executors := Bound} = maps:get(async, maps:get(pools, py:execution_info())),
    ?assert(Most > 1 andalso Most =< Bound, Most).

%% All have begun before any ends, so they run side by side.
thousand_sleepers(_) ->
    clear(),
    Refs = [{N, py:async_call('__main__', note, [N])} || N <- lists:seq(1, 1000)],
    [?assertEqual({ok, N}, py:await(Ref)) || {N, Ref} <- Refs],
    {Time, _} = py_test:timed(fun() ->
        [{ok, none} = py:await(Ref) || Ref <- [py:async_call(asyncio, sleep, [1]) || _ <- lists:seq(1, 1000)]]
    end),
    ?assert(Time < 20000, Time).

%% Again and again 20,000 coroutines in flight at once; what they needed is given back.
twenty_thousand(_) ->
    Before = py_semaphore:max_concurrent(),
    ok = py_semaphore:set_max_concurrent(50000),
    ok = py_test:define(<<"
        async def close_gate():
            global gate
            gate = asyncio.Event()
        async def pass_gate(n):
            started.append(n)
            await gate.wait()
            return n
        async def open_gate():
            gate.set()
        async def tasks():
            return len(asyncio.all_tasks())
    ">>),
    Sizes = [
        begin
            clear(),
            {ok, none} = run(close_gate, []),
            Refs = [{N, py:async_call('__main__', pass_gate, [N])} || N <- lists:seq(1, 20000)],
            py_test:until(fun() -> fetch(<<"len(started)">>) =:= {ok, 20000} end, 60000),
            {ok, none} = run(open_gate, []),
            [{ok, N} = py:await(Ref) || {N, Ref} <- Refs],
            py_test:settled(),
            {ok, 1} = run(tasks, []),
            rss(worker())
        end
     || _ <- lists:seq(1, 10)
    ],
    ok = py_semaphore:set_max_concurrent(Before),
    ?assert(lists:last(Sizes) =< lists:nth(3, Sizes) * 1.02, Sizes).

rss(OsPid) ->
    [Rss] = [R || #{os_pid := P, rss := R} <- py:workers(), P =:= OsPid],
    Rss.

%% covers: py:cancel/1
cancel(_) ->
    clear(),
    Ref = py:async_call('__main__', forever, [<<"a">>]),
    {ok, 4} = run(double, [2]),
    ok = py:cancel(Ref),
    py_test:until(fun() -> fetch(<<"log">>) =:= {ok, [{<<"a">>, <<"CancelledError">>}]} end),
    Races = [py:async_call(asyncio, sleep, [(N rem 5) * 0.0002]) || N <- lists:seq(1, 2000)],
    [ok = py:cancel(R) || R <- Races],
    py_test:settled(),
    [] = py_test:mailbox().

caller_death(_) ->
    clear(),
    {Pid, Monitor} = spawn_monitor(fun() -> py:await(py:async_call('__main__', forever, [<<"dead">>])) end),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(async)) =:= 1 end),
    {ok, 4} = run(double, [2]),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, killed} -> ok end,
    py_test:until(fun() -> fetch(<<"log">>) =:= {ok, [{<<"dead">>, <<"CancelledError">>}]} end).

%% Of many coroutines every second one runs out of time; the others do not notice.
timeout_hits_one(_) ->
    Before = worker(),
    Refs = [
        {N rem 2, N, py:async_call('__main__', double, [N, case N rem 2 of 0 -> 0.5; 1 -> 3600 end], #{}, case N rem 2 of 0 -> 60000; 1 -> 100 end)}
     || N <- lists:seq(1, 500)
    ],
    lists:foreach(
        fun
            ({0, N, Ref}) -> ?assertEqual({ok, 2 * N}, py:await(Ref));
            ({1, _, Ref}) -> ?assertEqual({error, timeout}, py:await(Ref))
        end,
        Refs
    ),
    ?assertEqual(Before, worker()).

%% A plain function that Python can interrupt ends at its deadline; coroutines beside it go on.
timeout_of_plain_function(_) ->
    Before = worker(),
    ok = py_test:define(<<"
        def spin():
            while True:
                pass
    ">>),
    Other = py:async_call('__main__', double, [1, 1]),
    {Time, {error, timeout}} = py_test:timed(fun() -> py:await(py:async_call('__main__', spin, [], #{}, 200)) end),
    ?assert(Time < 10000),
    {ok, 2} = py:await(Other),
    py_test:settled(),
    ?assertEqual(Before, worker()).

%% covers: py:interrupt/1, error:interrupted
interrupts(_) ->
    Before = worker(),
    ok = py_test:define(<<"
        def until_interrupted():
            while True:
                time.sleep(0.001)
        async def at_the_start():
            time.sleep(3600)
        async def first_a_turn():
            await asyncio.sleep(3600)
    ">>),
    [
        begin
            Ref = py:async_call('__main__', Function, []),
            py_test:until(fun() -> py:interrupt(Ref) =:= ok end),
            {error, interrupted} = py:await(Ref)
        end
     || Function <- [until_interrupted, first_a_turn | [at_the_start || eager()]], _ <- lists:seq(1, 20)
    ],
    ?assertEqual(Before, worker()).

%% Whether tasks begin at once, as part of the request.
eager() ->
    #{python := Version} = py:execution_info(),
    [_, Minor | _] = binary:split(Version, <<".">>, [global]),
    binary_to_integer(Minor) >= 12.

%% A plain function that waits for a thread can be cancelled.
queued_plain_function(_) ->
    Before = worker(),
    ok = py_test:define(<<"
        hold = []
        def held():
            while not hold:
                time.sleep(0.01)
        def never():
            log.append('ran')
        async def release():
            hold.append(1)
    ">>),
    clear(),
    #{executors := Bound} = maps:get(async, maps:get(pools, py:execution_info())),
    Held = [py:async_call('__main__', held, []) || _ <- lists:seq(1, Bound)],
    Queued = [py:async_call('__main__', never, []) || _ <- lists:seq(1, 20)],
    {ok, 4} = run(double, [2]),
    [ok = py:cancel(Ref) || Ref <- Queued],
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(async)) =:= Bound end),
    ok = release_held(),
    [{ok, none} = py:await(Ref) || Ref <- Held],
    {ok, []} = fetch(<<"log">>),
    ?assertEqual(Before, worker()).

%% By a coroutine: every thread is taken.
release_held() ->
    {ok, none} = run(release, []),
    ok.

%% A coroutine that swallows its cancellation is left to itself; the worker lives.
swallowed_cancellation(_) ->
    clear(),
    Before = worker(),
    Other = py:async_call('__main__', double, [1, 4]),
    {error, timeout} = py:await(py:async_call('__main__', stubborn, []), 100),
    {ok, 2} = py:await(Other),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(async)) =:= 0 end),
    {ok, [<<"swallowed">> | _]} = fetch(<<"log">>),
    ?assertEqual(Before, worker()).

%% Who blocks the loop beyond the grace time takes the worker with it.
blocked_loop(_) ->
    Before = worker(),
    Other = py:async_call(asyncio, sleep, [3600]),
    {ok, 4} = run(double, [2]),
    {error, timeout} = py:await(py:async_call('__main__', block, []), 100),
    {error, {worker_down, killed}} = py:await(Other),
    {ok, 4} = run(double, [2]),
    ?assertNotEqual(Before, worker()).

worker_death(_) ->
    Refs = [py:async_call(asyncio, sleep, [3600]) || _ <- lists:seq(1, 1000)],
    {ok, 4} = run(double, [2]),
    ok = py_test:kill("KILL", worker()),
    [{error, {worker_down, _}} = py:await(Ref) || Ref <- Refs],
    {ok, 4} = run(double, [2]).

exceptions(_) ->
    ok = py_test:define(<<"
        async def leaves(kind):
            await asyncio.sleep(0)
            raise {'exit': SystemExit(3), 'key': KeyboardInterrupt('k'), 'cancel': asyncio.CancelledError('c'),
                   'time': asyncio.TimeoutError('t'), 'value': ValueError('v'), 'stop': RuntimeError('r')}[kind]
        async def at_once(kind):
            raise ValueError(kind)
        def foreign():
            return asyncio.new_event_loop().create_future()
    ">>),
    {error, {'SystemExit', "3"}} = run(leaves, [<<"exit">>]),
    {error, {'KeyboardInterrupt', "k"}} = run(leaves, [<<"key">>]),
    {error, {'CancelledError', _}} = run(leaves, [<<"cancel">>]),
    {error, {'TimeoutError', "t"}} = run(leaves, [<<"time">>]),
    {error, {'ValueError', "v"}} = run(leaves, [<<"value">>]),
    {error, {'ValueError', "now"}} = run(at_once, [<<"now">>]),
    {error, {'RuntimeError', _}} = run(foreign, []),
    {ok, 4} = run(double, [2]).

%% What a coroutine, its tasks and its threads refer to is the caller of its own request.
own_request(_) ->
    Self = self(),
    {ok, [Self | _] = All} = run(me, []),
    ?assertEqual([Self], lists:usort(All)),
    {ok, Self} = run(me_in_thread, []),
    Pids = [spawn_monitor(fun() -> exit({answer, run(me, [])}) end) || _ <- lists:seq(1, 50)],
    [
        receive {'DOWN', Monitor, process, Pid, {answer, Answer}} -> ?assertEqual({ok, [Pid, Pid, Pid, Pid]}, Answer) end
     || {Pid, Monitor} <- Pids
    ].

context_variables(_) ->
    ok = py_test:define(<<"
        variable = contextvars.ContextVar('variable', default=None)
        async def carry(n):
            before = variable.get()
            variable.set(n)
            await asyncio.sleep(0.01)
            return [before, variable.get()]
    ">>),
    Refs = [{N, py:async_call('__main__', carry, [N])} || N <- lists:seq(1, 100)],
    [?assertEqual({ok, [none, N]}, py:await(Ref)) || {N, Ref} <- Refs].

asyncio_of_newer_pythons(_) ->
    #{python := Version} = py:execution_info(),
    [_, Minor | _] = binary:split(Version, <<".">>, [global]),
    case binary_to_integer(Minor) >= 11 of
        true ->
            ok = py_test:define(<<"
                async def modern():
                    async with asyncio.TaskGroup() as group:
                        a = group.create_task(double(1, 0.01))
                        b = group.create_task(double(2))
                    try:
                        async with asyncio.timeout(0.01):
                            await asyncio.sleep(3600)
                    except TimeoutError:
                        return [a.result(), b.result(), asyncio.current_task().get_coro().__name__]
            ">>),
            {ok, [2, 4, <<"modern">>]} = run(modern, []);
        false ->
            {skip, "asyncio.timeout and TaskGroup came with 3.11"}
    end.

%% covers: erlang.call
call_under_the_loop(_) ->
    ok = py:register_function(answer, fun(_) -> 42 end),
    ok = py_test:define(<<"
        async def calls():
            return erlang.call('answer')
        def own_loop():
            return asyncio.run(calls())
    ">>),
    {error, {'RuntimeError', Text}} = run(calls, []),
    ?assertNotEqual(nomatch, string:find(Text, "erlang.async_call")),
    {error, {'RuntimeError', Text}} = py:call('__main__', own_loop, []),
    py:unregister_function(answer).

%% A plain function waits for Erlang, which asks the same worker again.
plain_function_calls_back(_) ->
    ok = py:register_function(again, fun([0]) -> 0; ([N]) -> {ok, V} = py:await(py:async_call('__main__', nest, [N - 1])), V + 1 end),
    ok = py_test:define(<<"
        def nest(n):
            return erlang.call('again', n)
    ">>),
    {ok, 30} = run(nest, [30]),
    Refs = [py:async_call('__main__', nest, [5]) || _ <- lists:seq(1, 40)],
    [{ok, 5} = py:await(Ref, 60000) || Ref <- Refs],
    py:unregister_function(again).

tls(Config) ->
    Dir = proplists:get_value(priv_dir, Config),
    Key = filename:join(Dir, "key.pem"),
    Cert = filename:join(Dir, "cert.pem"),
    case os:find_executable("openssl") of
        false ->
            {skip, "no openssl to make a certificate"};
        _ ->
            _ = os:cmd("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout " ++ Key ++ " -out " ++ Cert),
            ok = py_test:define(<<"
                async def tls(key, cert):
                    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    server_side.load_cert_chain(cert, key)
                    client_side = ssl.create_default_context(cafile=cert)
                    client_side.check_hostname = False
                    async def echo(reader, writer):
                        writer.write((await reader.readline()).upper())
                        await writer.drain()
                        writer.close()
                    server = await asyncio.start_server(echo, '127.0.0.1', 0, ssl=server_side)
                    port = server.sockets[0].getsockname()[1]
                    reader, writer = await asyncio.open_connection('127.0.0.1', port, ssl=client_side)
                    writer.write(b'hello\\n')
                    line = await reader.readline()
                    writer.close()
                    server.close()
                    return line
            ">>),
            {ok, <<"HELLO\n">>} = run(tls, [list_to_binary(Key), list_to_binary(Cert)])
    end.

subprocess(_) ->
    ok = py_test:define(<<"
        async def shell(n):
            process = await asyncio.create_subprocess_exec(
                sys.executable, '-c', f'print({n} * 2)', stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            return [process.returncode, int(out)]
    ">>),
    Refs = [{N, py:async_call('__main__', shell, [N])} || N <- lists:seq(1, 4)],
    [?assertEqual({ok, [0, 2 * N]}, py:await(Ref, 60000)) || {N, Ref} <- Refs].

unix_socket(_) ->
    Path = filename:join("/tmp", "py_asyncio_" ++ os:getpid() ++ ".sock"),
    ok = py_test:define(<<"
        async def unix(path):
            async def echo(reader, writer):
                writer.write(await reader.readline())
                writer.close()
            server = await asyncio.start_unix_server(echo, path)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b'ping\\n')
            line = await reader.readline()
            writer.close()
            server.close()
            if os.path.exists(path):
                os.unlink(path)
            return line
    ">>),
    {ok, <<"ping\n">>} = run(unix, [list_to_binary(Path)]).

signals(_) ->
    ok = py_test:define(<<"
        async def by_loop():
            loop, arrived = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, arrived.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(arrived.wait(), 30)
            return loop.remove_signal_handler(signal.SIGUSR1)

        alarms = []
        async def set_alarm():
            signal.signal(signal.SIGALRM, lambda number, frame: alarms.append(number))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
    ">>),
    {ok, true} = run(by_loop, []),
    {ok, none} = run(set_alarm, []),
    %% The worker sleeps meanwhile.
    py_test:until(fun() -> receive after 300 -> ok end, fetch(<<"len(alarms)">>) =:= {ok, 1} end).

%% The loop of a process that is tied to a worker is that worker's, in a thread beside its executors.
tied_process(_) ->
    ok = py:exec(<<"here = 'tied'">>),
    ok = py:exec(<<"
        import asyncio, threading
        async def where():
            await asyncio.sleep(0)
            return [here, threading.current_thread().name]
        def plain():
            return here
    ">>),
    {ok, [<<"tied">>, <<"erlang-loop">>]} = run(where, []),
    {ok, <<"tied">>} = run(plain, []),
    {ok, []} = py:await(py:async_call(asyncio, gather, [])),
    %% No executor is held by a coroutine that sleeps.
    Sleeper = py:async_call(asyncio, sleep, [3600]),
    {ok, <<"tied">>} = py:eval(<<"here">>),
    ok = py:cancel(Sleeper),
    ok = py:unbind(),
    {error, {'NameError', _}} = py:eval(<<"here">>, #{}, #{pool => async}).

%% covers: py:bind/0
bound_process(_) ->
    ok = py:bind(),
    ok = py:exec(<<"import asyncio\nhere = 'bound'\nasync def where(n=0):\n    await asyncio.sleep(n)\n    return here\n">>),
    {ok, <<"bound">>} = run(where, []),
    {ok, [<<"bound">>, <<"bound">>]} = py:async_gather([{'__main__', where, []}, {'__main__', where, [0.01]}]),
    Ref = py:async_call('__main__', where, [3600]),
    ok = py:unbind(),
    {error, cancelled} = py:await(Ref),
    {error, {'AttributeError', _}} = run(where, []).

%% covers: py:ctx_async_call/4,5
context(_) ->
    {ok, Context} = py:bind(new),
    ok = py:ctx_exec(Context, <<"import asyncio\nasync def twice(x, times=2):\n    await asyncio.sleep(0)\n    return x * times\n">>),
    {ok, 6} = py:await(py:ctx_async_call(Context, '__main__', twice, [3])),
    {ok, 9} = py:await(py:ctx_async_call(Context, '__main__', twice, [3], #{times => 3})),
    {error, {badarg, _}} = py:await(py:ctx_async_call(Context, '__main__', twice, nonsense)),
    ok = py:unbind(Context),
    ?assertError(context_not_bound, py:ctx_async_call(Context, '__main__', twice, [3])),
    {error, {badarg, context}} = py:await(py:ctx_async_call(nonsense, '__main__', twice, [3])).

%% covers: py_semaphore:current/0, error:overloaded
permits(_) ->
    Before = py_semaphore:max_concurrent(),
    ok = py_semaphore:set_max_concurrent(2),
    Refs = [py:async_call(asyncio, sleep, [3600]) || _ <- [1, 2]],
    2 = py_semaphore:current(),
    {error, {overloaded, 2, 2}} = py:await(py:async_call(asyncio, sleep, [0], #{}, 50)),
    {ok, [none]} = py:async_gather([{asyncio, sleep, [0]}]),
    [ok = py:cancel(Ref) || Ref <- Refs],
    py_test:until(fun() -> py_semaphore:current() =:= 0 end),
    ok = py_semaphore:set_max_concurrent(Before).

large_values(_) ->
    Large = binary:copy(<<"x">>, 3000000),
    {ok, Large} = py:await(py:async_call(asyncio, sleep, [0, Large])),
    ok = py_test:define(<<"
        async def echo(value):
            await asyncio.sleep(0)
            return value
    ">>),
    Refs = [py:async_call('__main__', echo, [Large]) || _ <- lists:seq(1, 10)],
    [{ok, Large} = py:await(Ref) || Ref <- Refs],
    ok.

%% What asyncio.run does at its end: tasks are cancelled, asynchronous generators closed; then exit handlers run.
stop_runs_exit_code(_) ->
    File = filename:join("/tmp", "py_asyncio_" ++ os:getpid() ++ ".exit"),
    _ = file:delete(File),
    ok = py_pool:start_pool(leaving, #{
        kind => async, num_workers => 1,
        preload => <<"
import asyncio, atexit
def write(text):
    with open(path, 'a') as file:
        file.write(text + ' ')
async def endless():
    try:
        await asyncio.sleep(3600)
    finally:
        write('task')
async def numbers():
    try:
        yield 1
    finally:
        write('generator')
keep = []
async def begin():
    keep.append(asyncio.create_task(endless()))
    keep.append(numbers())
    await keep[1].__anext__()
    atexit.register(write, 'atexit')
">>
    }),
    ok = py:exec(["path = '", File, "'"], #{pool => leaving}),
    {ok, none} = py:call('__main__', 'begin', [], #{}, #{pool => leaving}),
    ok = py_pool:stop_pool(leaving),
    {ok, Text} = file:read_file(File),
    ok = file:delete(File),
    ?assertEqual(<<"task generator atexit ">>, Text).

%% No timers, no polling. Another process of the machine cannot make it use time of its own.
idle_costs_nothing(_) ->
    {ok, 4} = run(double, [2]),
    Pid = worker(),
    py_test:until(fun() ->
        Before = py_test:ticks(Pid),
        receive after 500 -> ok end,
        py_test:ticks(Pid) =:= Before
    end).

%% covers: py_pool:start_pool/2, config:kind, config:num_executors
user_pool(_) ->
    ok = py_pool:start_pool(mine, #{kind => async, num_workers => 1, num_executors => 1}),
    {ok, 5} = py:await(py:async_call(asyncio, sleep, [0, 5], #{}, #{pool => mine})),
    {ok, 6} = py:call(asyncio, sleep, [0, 6], #{}, #{pool => mine}),
    {ok, 4.0} = py:call(math, sqrt, [16], #{}, #{pool => mine}),
    ok = py_pool:stop_pool(mine),
    {error, {bad_config, _}} = py_pool:start_pool(mine, #{kind => fast}).

%% covers: config:loop
loop_option(_) ->
    {error, {bad_config, _}} = py_pool:start_pool(uv, #{kind => async, loop => twisted}),
    case py_pool:start_pool(uv, #{kind => async, loop => uvloop, num_workers => 1}) of
        ok ->
            ok = py:exec(<<"import asyncio\nasync def kind():\n    return type(asyncio.get_running_loop()).__module__\n">>, #{pool => uv}),
            {ok, <<"uvloop">>} = py:await(py:async_call('__main__', kind, [], #{}, #{pool => uv})),
            Refs = [py:async_call(asyncio, sleep, [0.1, N], #{}, #{pool => uv}) || N <- lists:seq(1, 1000)],
            ?assertEqual([{ok, N} || N <- lists:seq(1, 1000)], [py:await(Ref) || Ref <- Refs]),
            {error, timeout} = py:await(py:async_call(asyncio, sleep, [3600], #{}, #{pool => uv}), 50),
            ok = py_pool:stop_pool(uv);
        {error, {worker_start_failed, Text}} ->
            ?assertNotEqual(nomatch, string:find(Text, "No module named 'uvloop'")),
            ?assertNotEqual(nomatch, string:find(Text, "option loop => uvloop"))
    end.

%% covers: py_async_driver:submit/4,5
registered_submit(_) ->
    {ok, 6} = py:await(py_async_driver:submit('__main__', double, [3], [])),
    {error, timeout} = py:await(py_async_driver:submit(asyncio, sleep, [3600], #{}, 50)).
