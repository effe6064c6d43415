%% Children that a program starts with os.fork, multiprocessing, concurrent.futures and subprocess: they work, module erlang can be
%% imported in them, and the worker stays as it was.
-module(py_child_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [{group, Group} || Group <- [main_thread, executors, event_loop, beside_loop]] ++
        [path_of_worker, import_in_worker, stub_by_itself, subprocess, fork_warning, fork_in_callback, child_outlives_call, stop_with_children].

%% In the main thread of a worker, in its other executors; in a coroutine of a worker with an event loop, and in a thread beside the loop.
groups() ->
    Cases = [fork, pool_fork, pool_spawn, pool_forkserver, executor_fork, executor_spawn, executor_forkserver, process_and_queue, terminate],
    [{Group, [], Cases} || Group <- [main_thread, executors, event_loop, beside_loop]].

init_per_suite(Config) ->
    ok = py_test:start(),
    ok = py:register_function(anything, fun(Args) -> Args end),
    Dir = filename:join(proplists:get_value(priv_dir, Config), "modules"),
    File = filename:join(Dir, "child_work.py"),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, source()),
    [{dir, Dir} | Config].

end_per_suite(_Config) ->
    py_test:stop().

init_per_group(Group, Config) ->
    Kind =
        case Group of
            main_thread -> #{};
            executors -> #{num_executors => 3};
            _ -> #{kind => async}
        end,
    ok = py_pool:start_pool(children, Kind#{num_workers => 1, paths => [proplists:get_value(dir, Config)]}),
    ok = py:register_function(double, fun([N]) -> 2 * N end),
    [{pool, children}, {group, Group} | Config].

end_per_group(_Group, _Config) ->
    ok = py_pool:stop_pool(children).

init_per_testcase(_Case, Config) ->
    Config.

%% The worker is the one from before, calls Erlang, and holds nothing.
end_per_testcase(Case, Config) ->
    _ = [py_pool:stop_pool(children) || lists:member(Case, [fork_in_callback, child_outlives_call, stop_with_children])],
    case proplists:get_value(pool, Config) of
        undefined ->
            ok;
        Pool ->
            [#{restarts := 0, in_flight := 0}] = [W || #{pool := P} = W <- py:workers(), P =:= Pool],
            {ok, 42} = py:eval(<<"erlang.double(21)">>, #{}, #{pool => Pool})
    end,
    py_test:settled().

%% A module of a user: it begins with an import from erlang, and children of multiprocessing import it again.
source() ->
    <<"
import concurrent.futures, multiprocessing, os, signal, time
import erlang
from erlang import anything, Pid

def work(n):
    try:
        anything(n)
    except RuntimeError as error:
        return ((n + 1) * n, 'child' in str(error), os.getpid())
    return 'called Erlang from a child'

def refused(name):
    try:
        if name == 'call':
            erlang.call('double', 1)
        elif name == 'double':
            erlang.double(1)
        else:
            getattr(erlang, name)()
    except RuntimeError:
        return True
    return False

NAMES = ['call', 'double', 'self', 'state_keys', 'state_clear']

def fork():
    pids = []
    for name in NAMES:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = 0 if refused(name) and work(3)[:2] == (12, True) else 2
            finally:
                os._exit(status)
        pids.append(pid)
    return [os.waitpid(pid, 0)[1] for pid in pids]

def pool(method):
    with multiprocessing.get_context(method).Pool(2) as children:
        results = children.map(work, range(20))
        names = children.map(refused, NAMES)
        called = children.apply(pow, (2, 10))
    return [r[:2] for r in results], os.getpid() in [r[2] for r in results], names, called

def executor(method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as children:
        results = list(children.map(work, range(20)))
    return [r[:2] for r in results], os.getpid() in [r[2] for r in results]

def reply(queue, event, n):
    event.wait()
    queue.put(work(n))

def process_and_queue():
    results = []
    for method in ('fork', 'spawn', 'forkserver'):
        context = multiprocessing.get_context(method)
        queue, event = context.Queue(), context.Event()
        child = context.Process(target=reply, args=(queue, event, 4))
        child.start()
        event.set()
        results.append(queue.get()[:2])
        child.join()
        results.append(child.exitcode)
    return results

def terminate():
    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(3600,))
    child.start()
    child.terminate()
    child.join()
    return child.exitcode == -signal.SIGTERM

async def in_coroutine(name, *args):
    return globals()[name](*args)

def nap():
    pid = os.fork()
    if pid == 0:
        time.sleep(3600)
        os._exit(0)
    return pid
">>.

%% Runs a function in the main thread of the worker, or in another one because the main thread is busy.
run(Function, Args, Config) ->
    Opts = #{pool => children, timeout => 90000},
    IsMain = <<"(lambda t: t.current_thread() is t.main_thread())(__import__('threading'))">>,
    case proplists:get_value(group, Config) of
        main_thread ->
            {ok, true} = py:eval(IsMain, #{}, Opts),
            py:call(child_work, Function, Args, #{}, Opts);
        executors ->
            Busy = py:spawn_call(time, sleep, [3600], #{}, #{pool => children}),
            py_test:until(fun() -> {ok, false} =:= py:eval(IsMain, #{}, Opts) end),
            Result = py:call(child_work, Function, Args, #{}, Opts),
            ok = py:cancel(Busy),
            py_test:until(fun() -> {ok, true} =:= py:eval(IsMain, #{}, Opts) end),
            Result;
        event_loop ->
            py:await(py:async_call(child_work, in_coroutine, [Function | Args], #{}, Opts), 90000);
        beside_loop ->
            py:await(py:async_call(child_work, Function, Args, #{}, Opts), 90000)
    end.

%% covers: guarantee:children
fork(Config) ->
    {ok, [0, 0, 0, 0, 0]} = run(fork, [], Config).

worked() ->
    [{N * (N + 1), true} || N <- lists:seq(0, 19)].

pool(Method, Config) ->
    {ok, {Results, false, [true, true, true, true, true], 1024}} = run(pool, [Method], Config),
    ?assertEqual(worked(), Results).

%% covers: guarantee:children
pool_fork(Config) -> pool(fork, Config).
%% covers: guarantee:children
pool_spawn(Config) -> pool(spawn, Config).
%% covers: guarantee:children
pool_forkserver(Config) -> pool(forkserver, Config).

executor(Method, Config) ->
    {ok, {Results, false}} = run(executor, [Method], Config),
    ?assertEqual(worked(), Results).

executor_fork(Config) -> executor(fork, Config).
%% covers: guarantee:children
executor_spawn(Config) -> executor(spawn, Config).
executor_forkserver(Config) -> executor(forkserver, Config).

process_and_queue(Config) ->
    {ok, [{20, true}, 0, {20, true}, 0, {20, true}, 0]} = run(process_and_queue, [], Config).

%% Signals reach children, whichever thread has started them.
terminate(Config) ->
    {ok, true} = run(terminate, [], Config).

%% The directory of the stub is the last of the path; nothing else differs from what the interpreter has.
path_of_worker(_) ->
    {ok, Path} = py:eval(<<"__import__('sys').path">>),
    {ok, Plain} = py:eval(<<"__import__('ast').literal_eval(__import__('subprocess').check_output([__import__('sys').executable, '-c', 'import sys; print(sys.path[1:])'], text=True))">>),
    ?assertEqual(Plain, lists:droplast(Path)),
    {ok, [<<"_erlang_gen.py">>, <<"_erlang_gen_functions.py">>, <<"_erlang_gen_stubs.py">>, <<"_erlang_gen_types.py">>, <<"_erlang_venv.py">>, <<"erlang.py">>]} = py:eval(<<"sorted(f for f in __import__('os').listdir(__import__('sys').path[-1]) if f.endswith('.py'))">>).

%% In the worker itself the stub is never seen.
import_in_worker(_) ->
    {ok, true} = py:eval(<<"not hasattr(__import__('erlang'), '__file__') and __import__('erlang') is erlang">>),
    {error, {'ImportError', _}} = py:exec(<<"from erlang import surely_not_registered">>, #{pool => default}).

stub_by_itself(_) ->
    Code = <<"
import sys, inspect
sys.path.insert(0, sys.argv[1])
import erlang
from erlang import one, two_words, Pid, Interrupted, WorkerInfo, ErlangHandler, Span, trace

class Mine(ErlangHandler):
    pass

@trace('name')
def f(x):
    return x

@trace()
def g(x):
    return x

assert f(1) == g(1) == 1 and issubclass(Interrupted, BaseException) and not isinstance(1, Pid)
for use in (one, two_words, Pid, Mine, Span, WorkerInfo, erlang.send, erlang.call, erlang.setup_logging):
    try:
        use('x', y=1)
    except RuntimeError as error:
        assert use.__name__ in str(error) and 'worker' in str(error), error
    else:
        raise SystemExit(use)
for name in ('__path__', '__wrapped__', '__all__'):
    assert not hasattr(erlang, name)
inspect.getmembers(erlang)
print('good')
">>,
    {ok, <<"good\n">>} = py:eval(
        <<"__import__('subprocess').check_output([__import__('sys').executable, '-c', code, __import__('sys').path[-1]], text=True)">>, #{code => Code}
    ).

%% A program of its own is no child of multiprocessing: it has what its interpreter has, and signals work.
subprocess(_) ->
    Run = fun(Code) ->
        py:eval(<<"__import__('subprocess').run([__import__('sys').executable, '-c', code], stderr=-3).returncode">>, #{code => Code})
    end,
    {ok, 0} = Run(<<"import json">>),
    {ok, 1} = Run(<<"import erlang">>),
    {ok, -15} = Run(<<"import os, signal; os.kill(os.getpid(), signal.SIGTERM)">>).

%% Python's warning of forks in processes with threads, which a worker always is, is not shown to those who did not ask for it;
%% other warnings are.
%% covers: guarantee:children
fork_warning(_) ->
    py:with_context(fun warnings/0).

warnings() ->
    ok = py:exec(<<"
import io, os, sys, warnings

def warned(act):
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        act()
        return sys.stderr.getvalue()
    finally:
        sys.stderr = stderr

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

def asked_for():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter('always')
        fork()
    return len(found)

def other():
    warnings.warn('of old', DeprecationWarning)
">>),
    {ok, <<>>} = py:eval(<<"warned(fork)">>),
    {ok, Other} = py:eval(<<"warned(other)">>),
    {match, _} = re:run(Other, "DeprecationWarning: of old"),
    {ok, true} = py:eval(<<"asked_for() == (sys.version_info >= (3, 12))">>).

%% A child is made while another thread of the worker waits for Erlang.
fork_in_callback(Config) ->
    ok = py_pool:start_pool(children, #{num_workers => 1, paths => [proplists:get_value(dir, Config)]}),
    ok = py:register_function(nested, fun([]) ->
        {ok, Statuses} = py:call(child_work, fork, [], #{}, #{pool => children}),
        Statuses
    end),
    {ok, [0, 0, 0, 0, 0]} = py:eval(<<"erlang.nested()">>, #{}, #{pool => children}),
    [#{restarts := 0}] = [W || #{pool := children} = W <- py:workers()],
    ok = py:unregister_function(nested).

%% A child that lives on keeps nothing of the worker.
child_outlives_call(Config) ->
    ok = py_pool:start_pool(children, #{num_workers => 1, paths => [proplists:get_value(dir, Config)]}),
    {ok, Child} = py:call(child_work, nap, [], #{}, #{pool => children}),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => children}),
    true = py_test:alive(Child),
    %% It closes the worker's descriptors when it gets to run.
    py_test:until(fun() ->
        {ok, Open} = file:list_dir("/proc/" ++ integer_to_list(Child) ++ "/fd"),
        [] =:= [Fd || Fd <- Open, list_to_integer(Fd) > 100]
    end),
    {error, {worker_down, _}} = py:call(os, '_exit', [1], #{}, #{pool => children}),
    py_test:until(fun() -> not py_test:alive(Child) end).

%% Pools of processes that a program has left open end with the worker.
stop_with_children(Config) ->
    ok = py_pool:start_pool(children, #{num_workers => 1, paths => [proplists:get_value(dir, Config)]}),
    ok = py:exec(<<"import multiprocessing, os\npools = [multiprocessing.get_context(m).Pool(1) for m in ('fork', 'spawn', 'forkserver')]">>, #{pool => children}),
    {ok, Pids} = py:eval(<<"[p.apply(os.getpid) for p in pools]">>, #{}, #{pool => children, timeout => 60000}),
    [true = py_test:alive(Pid) || Pid <- Pids],
    ok = py_pool:stop_pool(children),
    py_test:until(fun() -> not lists:any(fun py_test:alive/1, Pids) end).
