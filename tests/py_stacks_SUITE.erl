%% What workers do at this moment, and what they did when they died: py:stacks and the stacks in the log.
%% PY_STACKS_CALLS sets how often the case beside a load asks (default 300), and that where each answer takes long 30 times less often.
-module(py_stacks_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(POOL, stacks).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        idle, sleeping, computing, computing_alone, stuck_in_c, executors, threads_of_programs, event_loop, odd_names, at_start, stopped, silent_owner, asked_together,
        in_a_sandbox, system_calls_go_on, handlers_of_programs, faulthandler_of_programs, faulthandler_of_the_environment, fatal_signals,
        crash_in_an_executor, overflow_of_the_stack, crash_at_start, crash_of_a_child, closed_descriptor, beside_load, nothing_left, wrong_pools
    ].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => warning, config => self()}),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = py_pool:stop_pool(?POOL),
    _ = logger:remove_handler(?MODULE),
    py_test:settled(),
    drop().

drop() ->
    receive _ -> drop() after 0 -> ok end.

%% A handler of logger.
log(#{msg := {Format, Args}}, #{config := Pid}) when is_list(Args) ->
    Pid ! {logged, unicode:characters_to_binary(io_lib:format(Format, Args))};
log(_, _) ->
    ok.

%% The entry about the end of a worker.
death() ->
    receive
        {logged, Text} ->
            case binary:match(Text, <<"ended: ">>) of
                nomatch -> death();
                _ -> Text
            end
    after 20000 -> ct:fail(not_logged)
    end.

code() ->
    <<"
import ctypes, os, signal, sys, threading, time
LIBC = ctypes.CDLL(None)
KEEPS = ctypes.PyDLL(None)

def outer():
    inner()

def inner():
    time.sleep(3600)

def spin():
    while True:
        pass

def stuck():
    KEEPS.sleep(3600)

def crash(number):
    os.kill(os.getpid(), number)
    time.sleep(3600)

def fault():
    ctypes.string_at(8)
">>.

pool(Options) ->
    ok = py_pool:start_pool(?POOL, maps:merge(#{num_workers => 1, max_workers => 1, preload => code()}, Options)).

start(Function) ->
    start(Function, []).

start(Function, Args) ->
    py:spawn_call('__main__', Function, Args, #{}, #{pool => ?POOL, timeout => infinity}).

eval(Code) ->
    py:eval(Code, #{}, #{pool => ?POOL}).

exec(Code) ->
    py:exec(Code, #{pool => ?POOL}).

%% The worker as soon as some thread runs this function as the innermost of Python.
seen(Function) ->
    py_test:until(fun() -> running(Function) =/= [] end),
    [Thread] = running(Function),
    Thread.

running(Function) ->
    [T || #{threads := Threads} <- py:stacks(?POOL), #{frames := [#{function := F} | _]} = T <- Threads, F =:= Function].

calls(#{frames := Frames}) ->
    [Function || #{function := Function} <- Frames].

one() ->
    [Worker] = py:stacks(?POOL),
    Worker.

%% What is said of Python's lock while a thread keeps it.
kept() ->
    case free_threaded() of
        true -> free;
        false -> kept
    end.

%% Such a Python has no lock, and its stacks come without the names of threads.
free_threaded() ->
    {ok, Free} = py:eval(<<"__import__('sysconfig').get_config_var('Py_GIL_DISABLED') == 1">>),
    Free.

named(Name) ->
    case free_threaded() of
        true -> <<>>;
        false -> Name
    end.

%% covers: py:stacks/0, py:stacks/1, py_stacks:format/1
idle(_) ->
    pool(#{}),
    [OsPid] = py_test:os_pids(?POOL),
    #{id := Id, pool := ?POOL, os_pid := OsPid, state := ready, lock := free, threads := [Thread]} = one(),
    ?assertMatch(#{name := <<"MainThread">>, frames := []}, Thread),
    ?assertNot(is_map_key(request, Thread)),
    ?assertEqual(lists:sort([{P, I} || #{pool := P, id := I} <- py:workers()]), lists:sort([{P, I} || #{pool := P, id := I} <- py:stacks()])),
    Expected = io_lib:format("worker ~b of pool stacks, os pid ~b, ready~n  MainThread, idle~n", [Id, OsPid]),
    ?assertEqual(iolist_to_binary(Expected), unicode:characters_to_binary(py_stacks:format(py:stacks(?POOL)))).

%% covers: py:stacks/1, py_stacks:format/1
sleeping(_) ->
    pool(#{}),
    Ref = start(outer),
    #{request := #{caller := Caller}, name := <<"MainThread">>, frames := Frames} = seen(<<"inner">>),
    ?assertEqual(self(), Caller),
    ?assertMatch([#{function := <<"inner">>, line := 10}, #{function := <<"outer">>, line := 7}], Frames),
    Text = unicode:characters_to_binary(py_stacks:format(py:stacks(?POOL))),
    {match, _} = re:run(Text, io_lib:format("^  MainThread, request [0-9]+ of ~s\n    .*:10 in inner\n    .*:7 in outer\n", [pid_to_list(self())]), [multiline]),
    ok = py:cancel(Ref).

%% covers: py:stacks/1
computing(_) ->
    pool(#{}),
    Ref = start(spin),
    _ = seen(<<"spin">>),
    %% Python hands its lock on every few milliseconds.
    py_test:until(fun() -> maps:get(lock, one()) =:= free end),
    ok = py:cancel(Ref).

%% Frames come and go all the time, and the lock is never handed on: the look at them must not harm who makes them.
%% covers: py:stacks/1
computing_alone(_) ->
    pool(#{}),
    ok = exec(<<"
def walk(n):
    yield n
    if n:
        yield from walk(n - 1)
def work(n):
    sys.setswitchinterval(3600)
    while True:
        sum(sorted(walk(n), key=lambda x: -x))
">>),
    [OsPid] = py_test:os_pids(?POOL),
    Ref = start(work, [50]),
    py_test:until(fun() -> maps:get(lock, one()) =:= kept() end),
    Answers = [one() || _ <- lists:seq(1, calls_beside_load() div 30)],
    ?assertEqual([], [Answer || Answer <- Answers, maps:get(lock, Answer, none) =/= kept()]),
    ?assertMatch([_ | _], [T || #{threads := Threads} <- Answers, T <- Threads, lists:member(<<"work">>, calls(T))]),
    ok = py:cancel(Ref),
    py_test:settled(),
    {ok, 2} = eval(<<"1 + 1">>),
    ?assertEqual([OsPid], py_test:os_pids(?POOL)).

calls_beside_load() ->
    list_to_integer(os:getenv("PY_STACKS_CALLS", "300")).

%% covers: py:stacks/1, py_stacks:format/1
stuck_in_c(_) ->
    Kept = kept(),
    pool(#{}),
    _ = start(stuck),
    #{frames := [#{function := <<"stuck">>, line := 17}], request := #{caller := Caller}} = seen(<<"stuck">>),
    ?assertEqual(self(), Caller),
    #{lock := Kept} = one(),
    Text = unicode:characters_to_binary(py_stacks:format(py:stacks(?POOL))),
    ?assertEqual(Kept =:= kept, binary:match(Text, <<"a thread keeps Python's lock">>) =/= nomatch),
    %% Again and again: nothing is used up by it.
    [#{lock := Kept, threads := [#{frames := [#{function := <<"stuck">>}]}]} = one() || _ <- lists:seq(1, 10)],
    [OsPid] = py_test:os_pids(?POOL),
    ?assertEqual("", os:cmd("ps -o pid= --ppid " ++ integer_to_list(OsPid))).

%% covers: py:stacks/1
executors(_) ->
    Kept = kept(),
    pool(#{num_executors => 4}),
    Self = self(),
    Callers = [spawn_link(fun() -> Ref = start(Function), receive stop -> py:cancel(Ref), Self ! stopped end end) || Function <- [outer, outer, outer]],
    py_test:until(fun() -> length(running(<<"inner">>)) =:= 3 end),
    #{threads := Threads} = one(),
    ?assertEqual(
        case free_threaded() of
            true -> [<<"MainThread">>, <<"executor">>, <<"executor">>, <<"executor">>];
            false -> [<<"MainThread">>, <<"erlang-executor-1">>, <<"erlang-executor-2">>, <<"erlang-executor-3">>]
        end,
        lists:sort([Name || #{name := Name} <- Threads])
    ),
    ?assertEqual(lists:sort(Callers), lists:sort([Pid || #{request := #{caller := Pid}} <- Threads])),
    ?assertEqual([[], [<<"inner">>, <<"outer">>]], lists:usort([calls(Thread) || Thread <- Threads])),
    [Caller ! stop || Caller <- Callers],
    [receive stopped -> ok end || _ <- Callers],
    %% One of four keeps the lock: the others wait for it where they are.
    py_test:settled(),
    _ = start(stuck),
    #{frames := [#{function := <<"stuck">>}]} = seen(<<"stuck">>),
    #{lock := Kept, threads := [_, _, _, _]} = one().

%% covers: py:stacks/1
threads_of_programs(_) ->
    pool(#{}),
    ok = exec(<<"threading.Thread(target=outer, name='mine', daemon=True).start()">>),
    Thread = seen(<<"inner">>),
    ?assertEqual(named(<<"mine">>), maps:get(name, Thread)),
    ?assertNot(is_map_key(request, Thread)),
    [<<"inner">>, <<"outer">>, <<"run">> | _] = calls(Thread).

%% covers: py:stacks/1
event_loop(_) ->
    pool(#{kind => async, preload => [code(), <<"\nasync def waits():\n    time.sleep(3600)\n">>]}),
    py_test:until(fun() -> [T || #{threads := Threads} <- py:stacks(?POOL), T <- Threads, lists:member(<<"run_forever">>, calls(T))] =/= [] end),
    _ = start(waits),
    Thread = seen(<<"waits">>),
    ?assert(lists:member(<<"run_forever">>, calls(Thread))).

%% covers: py:stacks/1
odd_names(_) ->
    pool(#{}),
    ok = exec(<<"
exec(compile('''
def größe_λ(body):
    body()
''', 'dir \"x\", line 7 in y/π😀\\n.py', 'exec'))
threading.Thread(target=größe_λ, args=(outer,), name='] (most recent call first):\\nThread 0x1 [☃', daemon=True).start()
"/utf8>>),
    #{name := Name, frames := Frames} = seen(<<"inner">>),
    ?assertEqual(named(<<"] (most recent call first):\nThread 0x1 [☃"/utf8>>), binary:replace(Name, <<"?">>, <<"\n">>)),
    [File] = [File || #{function := <<"größe_λ"/utf8>>, file := File, line := 3} <- Frames],
    ?assertEqual(<<"dir \"x\", line 7 in y/π😀?.py"/utf8>>, File),
    _ = start('größe_λ', []),
    %% As faulthandler writes it.
    py_test:until(fun() -> py:spawn_call('__main__', stuck, [], #{}, #{pool => ?POOL}), maps:get(lock, one()) =:= kept() end),
    #{threads := Threads} = one(),
    ?assertMatch([_], [F || #{frames := Fs} <- Threads, #{function := <<"größe_λ"/utf8>>, file := F} <- Fs, F =:= File]).

%% A worker that does not get ready.
%% covers: py:stacks/1
at_start(Config) ->
    Gate = filename:join(proplists:get_value(priv_dir, Config), "gate"),
    Preload = ["import os, time\ndef prepares():\n    while not os.path.exists('", Gate, "'):\n        time.sleep(0.01)\nprepares()\n"],
    Starter = spawn_link(fun() -> pool(#{preload => iolist_to_binary(Preload), worker_timeout => 60000}) end),
    Preparing = fun() -> [T || #{pool := ?POOL, state := starting, threads := Threads} <- py:stacks(), T <- Threads, lists:member(<<"prepares">>, calls(T))] end,
    py_test:until(fun() -> Preparing() =/= [] end),
    ok = file:write_file(Gate, ""),
    py_test:until(fun() -> not is_process_alive(Starter) end),
    {ok, 2} = eval(<<"1 + 1">>).

%% covers: py:stacks/0
stopped(_) ->
    pool(#{}),
    [OsPid] = py_test:os_pids(?POOL),
    ok = py_test:kill("STOP", OsPid),
    {Time, Workers} = py_test:timed(fun() -> py:stacks() end),
    ?assert(Time < 20000),
    ?assertMatch([#{error := stopped}], [W || #{pool := ?POOL} = W <- Workers]),
    ?assertMatch([#{lock := free}], [W || #{pool := default} = W <- Workers]),
    {_, _} = binary:match(iolist_to_binary(py_stacks:format(Workers)), <<", ready: stopped\n">>),
    ok = py_test:kill("CONT", OsPid),
    py_test:until(fun() -> maps:is_key(threads, one()) end),
    ?assertEqual([OsPid], py_test:os_pids(?POOL)).

%% Nobody answers for a worker.
%% covers: py:stacks/1
silent_owner(_) ->
    pool(#{}),
    [Owner] = [maps:get(pid, maps:get(owner, W)) || #{pool := ?POOL} = W <- maps:get(workers, py:diagnose())],
    true = erlang:suspend_process(Owner),
    Answer = py:stacks(?POOL),
    true = erlang:resume_process(Owner),
    ?assertMatch([#{error := no_answer, state := ready}], Answer),
    #{lock := free} = one(),
    ?assertEqual([], py_test:mailbox()).

%% covers: py:stacks/1
asked_together(_) ->
    Kept = kept(),
    pool(#{}),
    _ = start(stuck),
    _ = seen(<<"stuck">>),
    Self = self(),
    Askers = [spawn_link(fun() -> Self ! {self(), one()} end) || _ <- lists:seq(1, 50)],
    [receive {Pid, Answer} -> ?assertMatch(#{lock := Kept, threads := [#{frames := [#{function := <<"stuck">>}]}]}, Answer) end || Pid <- Askers].

%% covers: py:stacks/1, config:sandbox
in_a_sandbox(_) ->
    case py_test:landlock() of
        0 -> {skip, "no Landlock here"};
        _ -> [sandbox(Sandbox) || Sandbox <- [#{processes => 0}, #{processes => 4}]]
    end.

sandbox(Sandbox) ->
    pool(#{sandbox => Sandbox}),
    Ref = start(outer),
    _ = seen(<<"inner">>),
    ok = py:cancel(Ref),
    _ = start(stuck),
    _ = seen(<<"stuck">>),
    Kept = kept(),
    [#{lock := Kept, threads := [#{frames := [#{function := <<"stuck">>}]}]} = one() || _ <- [1, 2, 3]],
    ok = py_pool:stop_pool(?POOL),
    pool(#{sandbox => Sandbox}),
    {error, {worker_down, _}} = py:call('__main__', fault, [], #{}, #{pool => ?POOL}),
    {_, _} = binary:match(death(), <<"in fault\n">>),
    ok = py_pool:stop_pool(?POOL).

%% No system call of a program ends early.
%% covers: py:stacks/1
system_calls_go_on(_) ->
    pool(#{num_executors => 2}),
    ok = exec(<<"
def polls(lib):
    return lib.poll(None, 0, 1500)
def polls_alone():
    return polls(LIBC)
def polls_and_keeps():
    return polls(KEEPS)
">>),
    [
        begin
            Refs = [start(Function) || Function <- Functions],
            [_ | _] = [one() || _ <- lists:seq(1, 4)],
            [{ok, 0} = py:await(Ref) || Ref <- Refs]
        end
     || Functions <- [[polls_alone, polls_alone], [polls_and_keeps]]
    ].

%% covers: py:stacks/1, guarantee:crash
handlers_of_programs(_) ->
    pool(#{}),
    {ok, true} = eval(<<"all(signal.getsignal(s) == signal.SIG_DFL for s in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE))">>),
    ok = exec(<<"
seen = []
def handler(number, frame):
    seen.append(int(number))
for number in (signal.SIGUSR1, signal.SIGABRT, signal.SIGRTMAX - 3, signal.SIGRTMIN):
    signal.signal(number, handler)
">>),
    #{lock := free} = one(),
    ok = exec(<<"
for number in (signal.SIGUSR1, signal.SIGABRT, signal.SIGRTMAX - 3, signal.SIGRTMIN):
    os.kill(os.getpid(), number)
">>),
    {ok, true} = eval(<<"seen == [signal.SIGUSR1, signal.SIGABRT, signal.SIGRTMAX - 3, signal.SIGRTMIN]">>),
    _ = start(stuck),
    _ = seen(<<"stuck">>),
    Kept = kept(),
    #{lock := Kept} = one().

%% covers: py:stacks/1, guarantee:crash
faulthandler_of_programs(Config) ->
    pool(#{}),
    Dir = proplists:get_value(priv_dir, Config),
    [Asked, Fatal] = [filename:join(Dir, Name) || Name <- ["asked", "fatal"]],
    ok = py:exec(["
import faulthandler
assert not faulthandler.is_enabled()
asked, fatal = open('", Asked, "', 'w'), open('", Fatal, "', 'w')
faulthandler.register(signal.SIGUSR1, file=asked)
os.kill(os.getpid(), signal.SIGUSR1)
faulthandler.enable(file=fatal)
faulthandler.disable()
faulthandler.enable(file=fatal)
"], #{pool => ?POOL}),
    {ok, Text} = file:read_file(Asked),
    {_, _} = binary:match(Text, <<"most recent call first">>),
    Ref = start(outer),
    _ = seen(<<"inner">>),
    ok = py:cancel(Ref),
    ?assertEqual({ok, Text}, file:read_file(Asked)),
    {error, {worker_down, _}} = py:call('__main__', fault, [], #{}, #{pool => ?POOL}),
    {_, _} = binary:match(death(), <<"in fault\n">>),
    {ok, Report} = file:read_file(Fatal),
    {_, _} = binary:match(Report, <<"Fatal Python error: Segmentation fault">>),
    {_, _} = binary:match(Report, <<"in fault\n">>).

%% covers: guarantee:crash
faulthandler_of_the_environment(_) ->
    pool(#{env => [{"PYTHONFAULTHANDLER", "1"}], stdout => null}),
    ok = exec(<<"import faulthandler\nassert faulthandler.is_enabled()">>),
    {error, {worker_down, _}} = py:call('__main__', fault, [], #{}, #{pool => ?POOL}),
    Text = death(),
    {_, _} = binary:match(Text, <<"in fault\n">>),
    {_, _} = binary:match(Text, <<"signal 11 ">>).

%% covers: py:workers/0, guarantee:crash
fatal_signals(_) ->
    pool(#{}),
    [#{last_stack := none}] = [W || #{pool := ?POOL} = W <- py:workers()],
    [
        begin
            {error, {worker_down, _}} = py:call('__main__', crash, [Number], #{}, #{pool => ?POOL}),
            Text = death(),
            {_, _} = binary:match(Text, [<<"signal ", (integer_to_binary(Number))/binary, " ">>]),
            [_, <<"Current thread", Stack/binary>>] = binary:split(Text, <<"its Python stacks:\n">>),
            {_, _} = binary:match(Stack, <<"line 20 in crash\n">>),
            py_test:until(fun() -> [S || #{pool := ?POOL, last_stack := S} <- py:workers()] =:= [<<"Current thread", Stack/binary>>] end),
            py_test:whole(?POOL)
        end
     || Number <- [11, 6, 7, 8, 4]
    ],
    %% A signal that is no fault leaves none.
    {error, {worker_down, _}} = py:call('__main__', crash, [15], #{}, #{pool => ?POOL}),
    nomatch = binary:match(death(), <<"Python stacks">>).

%% The stack of the thread that crashed comes first and is not cut off.
%% covers: guarantee:crash
crash_in_an_executor(_) ->
    pool(#{num_executors => 2}),
    ok = exec(<<"
def deep(n):
    return deep(n - 1) if n else time.sleep(3600)
for _ in range(30):
    threading.Thread(target=deep, args=(60,), daemon=True).start()
def fault_elsewhere():
    assert threading.current_thread() is not threading.main_thread()
    fault()
">>),
    %% The main thread takes what comes first.
    _ = start(outer),
    _ = seen(<<"inner">>),
    {error, {worker_down, _}} = py:call('__main__', fault_elsewhere, [], #{}, #{pool => ?POOL}),
    Text = death(),
    [_, Stack] = binary:split(Text, <<"its Python stacks:\n">>),
    ?assertMatch(<<"Current thread", _/binary>>, Stack),
    {_, _} = binary:match(hd(binary:split(Stack, <<"\n\n">>)), <<"in fault_elsewhere\n">>),
    ?assertEqual(8192, byte_size(Stack)).

%% covers: guarantee:crash
overflow_of_the_stack(_) ->
    pool(#{num_executors => 2}),
    ok = exec(<<"
import faulthandler
def overflow():
    faulthandler._stack_overflow()
">>),
    {error, {worker_down, _}} = py:call('__main__', overflow, [], #{}, #{pool => ?POOL}),
    {_, _} = binary:match(death(), <<"in overflow\n">>),
    py_test:whole(?POOL),
    ok = exec(<<"
import faulthandler
def overflow_elsewhere():
    faulthandler._stack_overflow()
">>),
    _ = start(outer),
    _ = seen(<<"inner">>),
    {error, {worker_down, _}} = py:call('__main__', overflow_elsewhere, [], #{}, #{pool => ?POOL}),
    {_, _} = binary:match(death(), <<"in overflow_elsewhere\n">>).

%% covers: guarantee:crash
crash_at_start(_) ->
    {error, _} = py_pool:start_pool(?POOL, #{num_workers => 1, preload => <<"def prepares():\n    import os\n    os.abort()\nprepares()\n">>}),
    {_, _} = binary:match(death(), <<"in prepares\n">>).

%% covers: guarantee:crash
crash_of_a_child(_) ->
    pool(#{}),
    {ok, 6} = eval(<<"(lambda pid: os.abort() if pid == 0 else os.waitpid(pid, 0)[1] & 127)(os.fork())">>),
    #{lock := free} = one(),
    [#{last_stack := none, restarts := 0}] = [W || #{pool := ?POOL} = W <- py:workers()].

%% What a program opens under a number of ours is not written to.
%% covers: py:stacks/1, guarantee:crash
closed_descriptor(Config) ->
    pool(#{}),
    File = filename:join(proplists:get_value(priv_dir, Config), "own"),
    ok = py:exec(["
own = [int(fd) for fd in os.listdir('/proc/self/fd') if 'erlang_python-stacks' in os.path.realpath('/proc/self/fd/' + fd)]
with open('", File, "', 'w') as file:
    file.write('mine')
    file.flush()
    for fd in own:
        os.dup2(file.fileno(), fd)
"], #{pool => ?POOL}),
    {ok, 1} = eval(<<"len(own)">>),
    #{lock := free} = one(),
    {error, {worker_down, _}} = py:call('__main__', fault, [], #{}, #{pool => ?POOL}),
    nomatch = binary:match(death(), <<"in fault\n">>),
    ?assertEqual({ok, <<"mine">>}, file:read_file(File)).

%% covers: py:stacks/1
beside_load(_) ->
    Calls = calls_beside_load(),
    pool(#{num_executors => 4}),
    ok = exec(<<"
def work(n):
    def walk(m):
        yield m
        if m:
            yield from walk(m - 1)
    return sum(sorted(walk(n), key=lambda x: -x))
">>),
    Self = self(),
    Worker = fun Work(N) ->
        receive
            stop -> Self ! {worked, N}
        after 0 ->
            {ok, 1275} = py:call('__main__', work, [50], #{}, #{pool => ?POOL}),
            Work(N + 1)
        end
    end,
    Workers = [spawn_link(fun() -> Worker(0) end) || _ <- lists:seq(1, 6)],
    Answers = [one() || _ <- lists:seq(1, Calls)],
    [Pid ! stop || Pid <- Workers],
    Worked = [receive {worked, N} -> N end || _ <- Workers],
    ct:log("~b answers beside ~b calls, lock kept in ~b", [Calls, lists:sum(Worked), length([kept || #{lock := kept} <- Answers])]),
    ?assertEqual([], [Answer || Answer <- Answers, not is_map_key(threads, Answer)]),
    ?assert(lists:any(fun(#{threads := Threads}) -> [T || T <- Threads, lists:member(<<"work">>, calls(T))] =/= [] end, Answers)),
    [#{restarts := 0}] = [W || #{pool := ?POOL} = W <- py:workers()].

%% covers: py:stacks/1
nothing_left(_) ->
    pool(#{}),
    _ = start(stuck),
    _ = seen(<<"stuck">>),
    [OsPid] = py_test:os_pids(?POOL),
    Held = fun() -> [length(element(2, file:list_dir(["/proc/", integer_to_list(OsPid), Dir]))) || Dir <- ["/fd", "/task"]] end,
    %% One thread waits for the lock.
    Before = Held(),
    _ = [one() || _ <- lists:seq(1, 8)],
    py_test:until(fun() -> Held() =:= Before end),
    [#{threads := Threads}] = [W || #{pool := ?POOL} = W <- maps:get(workers, py:diagnose())],
    ?assertEqual([<<"stacks-lock">> || not free_threaded()], [Name || #{name := <<"stacks", _/binary>> = Name} <- Threads]).

%% covers: py:stacks/1, py:stacks/0
wrong_pools(_) ->
    ?assertEqual({error, not_started}, py:stacks(no_such_pool)),
    ?assertEqual({error, {badarg, pool}}, py:stacks(<<"default">>)),
    py_test:stop(),
    ?assertEqual([], py:stacks()),
    ?assertEqual({error, not_started}, py:stacks(default)),
    ok = py_test:start([{num_workers, 1}]).
