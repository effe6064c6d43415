%% Option sandbox: programs that try to break out, beside a pool without a sandbox where the same programs succeed; and
%% programs that do what workers do, inside it.
-module(py_sandbox_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [{group, escapes}, {group, work} | settings()].

groups() ->
    [
        {escapes, [], [
            privileges, files_outside, metadata, files_inside, node_memory, sockets, abstract_sockets, signals, limits_of_others, system_calls,
            namespaces, sessions, messages
        ]},
        {work, [], [
            large_payloads, numpy, children, threads, coroutines, callbacks_and_streams, programs, databases, output, crash_and_restart
        ]}
    ].

settings() ->
    [bad_settings, read_all, network, no_unix_sockets, no_shared_memory, few_processes, few_files, cpu, uvloop, whole_application, nothing_left].

init_per_suite(Config) ->
    case py_test:landlock() of
        0 -> {skip, "this kernel has no Landlock"};
        _ -> started(Config)
    end.

started(Config) ->
    Dir = proplists:get_value(priv_dir, Config),
    Dirs = [{Name, filename:join(Dir, Name)} || Name <- [readable, writable, outside]],
    [ok = filelib:ensure_dir(filename:join(Path, "x")) || {_, Path} <- Dirs],
    [ok = file:write_file(filename:join(Path, "content.txt"), "content") || {_, Path} <- Dirs],
    ok = py_test:start([{num_workers, 1}]),
    Dirs ++ Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_group(Group, Config) ->
    Sandbox = #{read => [dir(readable, Config)], write => [dir(writable, Config)]},
    Free = #{num_workers => 1, preload => helpers()},
    ok = py_pool:start_pool(free, Free),
    ok = py_pool:start_pool(boxed, Free#{sandbox => Sandbox, num_executors => case Group of work -> 2; escapes -> 1 end}),
    Config.

end_per_group(_Group, _Config) ->
    ok = py_pool:stop_pool(boxed),
    ok = py_pool:stop_pool(free).

end_per_testcase(_Case, _Config) ->
    _ = py_pool:stop_pool(other),
    py_test:settled().

dir(Name, Config) ->
    list_to_binary(proplists:get_value(Name, Config)).

helpers() ->
    <<"
import ctypes, errno, fcntl, os, platform, signal, socket, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == 'x86_64'

def call(x86, arm, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(x86 if X86 else arm, *arguments)
    return 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'done'

def abi():
    return libc.syscall(444, None, 0, 1)

def write(path, text='written'):
    with open(path, 'w') as file:
        file.write(text)

def read(path):
    with open(path) as file:
        return file.read()

def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as end:
        end.connect(address)

def status(field):
    for line in read('/proc/self/status').splitlines():
        name, value = line.split(':', 1)
        if name == field:
            return value.strip()
"/utf8>>.

%% The value of an expression in a pool.
eval(Pool, Expression) -> eval(Pool, Expression, #{}).

eval(Pool, Expression, Locals) ->
    {ok, Value} = py:eval(Expression, Locals, #{pool => Pool}),
    Value.

%% Refused inside, free to do outside.
only_outside(Expression, Locals, Refusals) ->
    refused(Expression, Locals, Refusals),
    ?assertEqual({Expression, <<"done">>}, {Expression, eval(free, Expression, Locals)}).

refused(Expression, Locals, Refusals) ->
    Answer = eval(boxed, Expression, Locals),
    ?assertEqual({Expression, Answer, true}, {Expression, Answer, lists:member(Answer, Refusals)}).

-define(DENIED, [<<"EPERM">>, <<"EACCES">>]).

%% Programs with the set-user-ID bit give nothing.
%% covers: config:sandbox
privileges(Config) ->
    ?assertEqual([<<"1">>, <<"2">>], [eval(boxed, <<"status(f)">>, #{f => F}) || F <- [<<"NoNewPrivs">>, <<"Seccomp">>]]),
    [?assertEqual({Set, 0}, {Set, eval(boxed, <<"int(status(f), 16)">>, #{f => Set})}) || Set <- [<<"CapEff">>, <<"CapPrm">>, <<"CapInh">>, <<"CapAmb">>]],
    ?assertEqual(<<"0">>, eval(free, <<"status('NoNewPrivs')">>)),
    case os:cmd("id -u") of
        "0\n" ->
            Program = filename:join(dir(readable, Config), "id"),
            Nobody = 65534,
            {ok, _} = file:copy("/usr/bin/id", Program),
            ok = file:write_file_info(Program, setelement(13, element(2, file:read_file_info(Program)), Nobody)),
            ok = file:change_mode(Program, 8#4755),
            Run = <<"subprocess.run([p, '-u'], capture_output=True, text=True).stdout">>,
            ?assertEqual({<<"65534\n">>, <<"0\n">>}, {eval(free, Run, #{p => Program}), eval(boxed, Run, #{p => Program})});
        _ ->
            ok
    end.

%% covers: config:sandbox
files_outside(Config) ->
    Dir = dir(outside, Config),
    File = fun(Name) -> #{path => filename:join(Dir, Name), other => filename:join(Dir, <<Name/binary, "2">>)} end,
    [
        begin
            Locals = File(integer_to_binary(erlang:unique_integer([positive]))),
            ok = file:write_file(maps:get(path, Locals), "old"),
            only_outside(Expression, Locals, [<<"EPERM">>, <<"EACCES">>, <<"EXDEV">>])
        end
     || Expression <- [
            <<"attempt(read, path)">>,
            <<"attempt(write, path)">>,
            <<"attempt(write, other)">>,
            <<"attempt(os.truncate, path, 0)">>,
            <<"attempt(os.unlink, path)">>,
            <<"attempt(os.mkdir, other)">>,
            <<"attempt(os.mkfifo, other)">>,
            <<"attempt(os.symlink, path, other)">>,
            <<"attempt(os.link, path, other)">>,
            <<"attempt(os.rename, path, other)">>,
            <<"attempt(os.listdir, os.path.dirname(path))">>
        ]
    ],
    %% What a program of the worker starts is in the same box.
    Shell = <<"subprocess.run(['sh', '-c', 'echo x > \"$0\"', path], stderr=subprocess.DEVNULL).returncode == 0">>,
    Locals = File(<<"shell">>),
    ?assertEqual({true, false}, {eval(free, Shell, Locals), eval(boxed, Shell, Locals)}).

%% Mode, times and attributes are out of Landlock's sight.
%% covers: config:sandbox
metadata(Config) ->
    Path = filename:join(dir(outside, Config), <<"content.txt">>),
    [
        only_outside(Expression, #{path => Path}, ?DENIED)
     || Expression <- [<<"attempt(os.chmod, path, 0o644)">>, <<"attempt(os.utime, path)">>, <<"attempt(os.chown, path, -1, -1)">>]
    ],
    ok = py_pool:start_pool(other, #{num_workers => 1, preload => helpers(), sandbox => #{metadata => true}}),
    ?assertEqual(<<"done">>, eval(other, <<"attempt(os.chmod, __import__('tempfile').gettempdir(), 0o700)">>)).

%% covers: config:sandbox
files_inside(Config) ->
    [Readable, Writable] = [filename:join(dir(D, Config), <<"content.txt">>) || D <- [readable, writable]],
    ?assertEqual(<<"content">>, eval(boxed, <<"read(path)">>, #{path => Readable})),
    ?assertEqual(<<"EACCES">>, eval(boxed, <<"attempt(write, path)">>, #{path => Readable})),
    ?assertEqual(<<"done">>, eval(boxed, <<"attempt(write, path)">>, #{path => Writable})),
    ?assertEqual({ok, <<"written">>}, file:read_file(Writable)),
    Temporary = eval(boxed, <<"__import__('tempfile').gettempdir()">>),
    ?assertEqual(Temporary, eval(boxed, <<"os.environ['TMPDIR']">>)),
    ?assertEqual(<<"done">>, eval(boxed, <<"attempt(write, d + '/file')">>, #{d => Temporary})),
    {ok, <<"written">>} = file:read_file(filename:join(Temporary, "file")),
    %% The directory of one worker is closed to the next.
    ok = py_pool:start_pool(other, #{num_workers => 1, preload => helpers(), sandbox => true}),
    ?assertEqual(<<"EACCES">>, eval(other, <<"attempt(read, d + '/file')">>, #{d => Temporary})).

%% Secrets of the node: environment, descriptors, memory.
%% covers: config:sandbox
node_memory(_) ->
    [Other] = py_test:os_pids(free),
    [
        begin
            Locals = #{pid => Pid},
            only_outside(<<"attempt(os.readlink, f'/proc/{pid}/fd/0')">>, Locals, ?DENIED),
            only_outside(<<"attempt(read, f'/proc/{pid}/environ')">>, Locals, ?DENIED),
            refused(<<"attempt(open, f'/proc/{pid}/mem', 'r+b')">>, Locals, ?DENIED),
            refused(<<"attempt(os.readlink, f'/proc/{pid}/cwd')">>, Locals, ?DENIED)
        end
     || Pid <- [list_to_integer(os:getpid()), Other]
    ].

%% covers: config:sandbox
sockets(_) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    Locals = #{port => Port},
    only_outside(<<"attempt(connect, socket.AF_INET, ('127.0.0.1', port))">>, Locals, ?DENIED),
    only_outside(<<"attempt(connect, socket.AF_INET, ('127.0.0.1', port), socket.SOCK_DGRAM)">>, Locals, ?DENIED),
    refused(<<"attempt(socket.socket, socket.AF_INET6)">>, #{}, ?DENIED),
    refused(<<"attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)">>, #{}, ?DENIED),
    refused(<<"attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)">>, #{}, ?DENIED),
    refused(<<"attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)">>, #{}, ?DENIED),
    refused(<<"attempt(socket.socket, 40, socket.SOCK_STREAM)">>, #{}, ?DENIED),
    ?assertEqual(<<"done">>, eval(boxed, <<"attempt(socket.socket, socket.AF_UNIX)">>)),
    ?assertEqual(<<"done">>, eval(boxed, <<"attempt(socket.socketpair)">>)),
    ok = gen_tcp:close(Listener).

%% Landlock keeps to its own abstract sockets from Linux 6.12 on.
%% covers: config:sandbox
abstract_sockets(_) ->
    Name = iolist_to_binary([0, "erlang_python test ", os:getpid()]),
    {ok, Listener} = gen_tcp:listen(0, [{ifaddr, {local, Name}}]),
    Attempt = <<"attempt(connect, socket.AF_UNIX, name)">>,
    ?assertEqual(<<"done">>, eval(free, Attempt, #{name => {bytes, Name}})),
    case eval(boxed, <<"abi()">>) of
        Abi when Abi >= 6 -> refused(Attempt, #{name => {bytes, Name}}, ?DENIED);
        _ -> ok
    end,
    ok = gen_tcp:close(Listener).

%% covers: config:sandbox
signals(_) ->
    [Other] = py_test:os_pids(free),
    [Default] = py_test:os_pids(default),
    Node = list_to_integer(os:getpid()),
    [only_outside(<<"attempt(os.kill, pid, 0)">>, #{pid => Pid}, ?DENIED) || Pid <- [Node, Default]],
    refused(<<"attempt(os.kill, pid, 9)">>, #{pid => Other}, ?DENIED),
    refused(<<"attempt(os.killpg, pid, 9)">>, #{pid => Other}, ?DENIED),
    refused(<<"call(234, 131, pid, pid, 9)">>, #{pid => Other}, ?DENIED),
    refused(<<"call(129, 138, pid, 9, None)">>, #{pid => Other}, [<<"EFAULT">> | ?DENIED]),
    Send = <<"(lambda fd: (call(424, 424, fd, 9, None, 0), os.close(fd))[0])(libc.syscall(434, pid, 0))">>,
    refused(Send, #{pid => Other}, ?DENIED),
    %% Everybody: all that the user may reach.
    ?assert(lists:member(eval(boxed, <<"attempt(os.kill, -1, signal.SIGURG)">>), [<<"done">>, <<"EPERM">>])),
    %% An owner of a file gets signals from it.
    Owner = <<"(lambda a, b: (fcntl.fcntl(a, 8, pid), fcntl.fcntl(a, 10, 9), fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC), b.send(b'x')) and None)(*socket.socketpair())">>,
    _ = py:eval(Owner, #{pid => Other}, #{pool => boxed}),
    ?assertEqual([Other], py_test:os_pids(free)),
    ?assertEqual(1, eval(free, <<"1">>)),
    %% Its own children it may kill, where the kernel knows whose they are.
    Terminate = <<"(lambda child: (child.kill(), child.wait())[1])(subprocess.Popen(['sleep', '3600']))">>,
    case eval(boxed, <<"abi()">>) of
        Abi when Abi >= 6 -> ?assertEqual(-9, eval(boxed, Terminate));
        _ -> ok
    end.

%% Priorities, limits and processors of other processes of the same user.
%% covers: config:sandbox
limits_of_others(_) ->
    [Other] = py_test:os_pids(free),
    [
        begin
            only_outside(<<"attempt(__import__('resource').prlimit, pid, 7)">>, #{pid => Pid}, ?DENIED),
            only_outside(<<"attempt(os.sched_setaffinity, pid, os.sched_getaffinity(0))">>, #{pid => Pid}, ?DENIED),
            only_outside(<<"attempt(os.setpriority, 0, pid, os.getpriority(0, pid))">>, #{pid => Pid}, ?DENIED)
        end
     || Pid <- [list_to_integer(os:getpid()), Other]
    ],
    ?assertEqual(<<"done">>, eval(boxed, <<"attempt(os.sched_setaffinity, 0, os.sched_getaffinity(0))">>)),
    ?assertEqual(<<"done">>, eval(boxed, <<"attempt(os.setpriority, 0, 0, 1)">>)).

%% covers: config:sandbox
system_calls(_) ->
    Node = list_to_integer(os:getpid()),
    [
        refused(iolist_to_binary(io_lib:format("call(~b, ~b, ~s)", [X86, Arm, Arguments])), #{pid => Node}, [<<"EPERM">>, <<"ENOSYS">>])
     || {X86, Arm, Arguments} <- [
            {101, 117, "16, pid, 0, 0"}, {310, 270, "pid, None, 0, None, 0, 0"}, {311, 271, "pid, None, 0, None, 0, 0"},
            {438, 438, "-1, 0, 0"}, {312, 272, "pid, pid, 0, 0, 0"}, {298, 241, "None, 0, -1, -1, 0"}, {321, 280, "0, None, 0"},
            {323, 282, "0"}, {425, 425, "1, None"}, {426, 426, "-1, 0, 0, 0, None, 0"}, {427, 427, "-1, 0, None, 0"},
            {248, 217, "None, None, None, 0, 0"}, {250, 219, "0, -3, 0"}, {165, 40, "None, None, None, 0, None"}, {166, 39, "None, 0"},
            {155, 41, "None, None"}, {161, 51, "None"}, {428, 428, "-100, None, 0"}, {430, 430, "None, 0"}, {304, 265, "-1, None, 0"},
            {29, 194, "0, 4096, 0o1600"}, {64, 190, "0, 1, 0o1600"}, {68, 186, "0, 0o1600"}, {240, 180, "None, 0, 0, None"},
            {169, 142, "0, 0, 0, None"}, {175, 105, "None, 0, None"}, {246, 104, "0, 0, 0, None, 0"}, {435, 435, "None, 0"}
        ]
    ],
    %% Numbers of another calling convention are no way round.
    case eval(boxed, <<"X86">>) of
        true -> refused(<<"call(0x40000000 | 101, 0, 16, pid, 0, 0)">>, #{pid => Node}, [<<"ENOSYS">>]);
        false -> ok
    end,
    %% TIOCSTI types into a terminal.
    refused(<<"attempt(fcntl.ioctl, 0, 0x5412, b'x')">>, #{}, ?DENIED).

%% covers: config:sandbox
namespaces(_) ->
    refused(<<"call(272, 97, 0x10000000)">>, #{}, ?DENIED),
    refused(<<"call(308, 268, 0, 0)">>, #{}, ?DENIED),
    [refused(<<"call(56, 220, flag | 17, 0, 0, 0, 0)">>, #{flag => Flag}, ?DENIED) || Flag <- [16#10000000, 16#20000000, 16#20000, 16#8000]].

%% Nothing leaves the process group that ends with the worker.
%% covers: config:sandbox
sessions(_) ->
    refused(<<"call(112, 157)">>, #{}, ?DENIED),
    refused(<<"call(109, 154, 0, 0)">>, #{}, ?DENIED),
    {ok, Child} = py:eval(<<"subprocess.Popen(['sh', '-c', 'sleep 3600 & echo $!'], stdout=subprocess.PIPE, text=True).stdout.readline()">>, #{}, #{pool => boxed}),
    Orphan = binary_to_integer(string:trim(Child)),
    true = py_test:alive(Orphan),
    [Worker] = py_test:os_pids(boxed),
    Temporary = eval(boxed, <<"os.environ['TMPDIR']">>),
    true = filelib:is_dir(Temporary),
    ok = py_test:kill("KILL", Worker),
    py_test:until(fun() -> not py_test:alive(Orphan) end),
    py_test:until(fun() -> not filelib:is_dir(Temporary) end),
    py_test:until(fun() -> py_test:os_pids(boxed) -- [Worker] =/= [] end).

%% Payloads in memory of their own, which the worker cannot open by itself.
%% covers: config:sandbox
large_payloads(_) ->
    [
        begin
            Data = crypto:strong_rand_bytes(Size),
            ?assertEqual({ok, Size}, py:call(builtins, len, [{bytes, Data}], #{}, #{pool => boxed})),
            ?assertEqual({ok, erlang:crc32(Data)}, py:call(zlib, crc32, [{buffer, Data}], #{}, #{pool => boxed})),
            ?assertEqual({ok, Data}, py:call(builtins, bytes, [{bytes, Data}], #{}, #{pool => boxed}))
        end
     || Size <- [100, 100_000, 3_000_000, 20_000_000, 3_000_001]
    ],
    Many = [py:call_async(builtins, len, [{bytes, binary:copy(<<N>>, 2_000_000 + N)}]) || N <- lists:seq(1, 8)],
    ?assertEqual([{ok, 2_000_000 + N} || N <- lists:seq(1, 8)], [py:await(Ref) || Ref <- Many]).

%% covers: config:sandbox
numpy(_) ->
    Array = {ndarray, <<"float64">>, [1000, 1000], binary:copy(<<1.0:64/float-little>>, 1_000_000)},
    {ok, Sum} = py:call(numpy, sum, [Array], #{}, #{pool => boxed}),
    ?assertEqual(1.0e6, Sum),
    ?assertEqual(1.0e9, eval(boxed, <<"float((a @ a).sum())">>, #{a => Array})).

%% covers: config:sandbox
children(_) ->
    Code = <<"
import concurrent.futures, multiprocessing
def square(n):
    return n * n
def child_work():
    context = multiprocessing.get_context('fork')
    with context.Pool(2) as pool:
        squares = pool.map(square, range(10))
    queue = context.Queue()
    child = context.Process(target=queue.put, args=(5,))
    child.start()
    found = queue.get()
    child.join()
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        total = sum(executor.map(square, range(10)))
    return squares[-1], found, child.exitcode, total
">>,
    ok = py:exec(Code, #{pool => boxed}),
    ?assertEqual({81, 5, 0, 285}, eval(boxed, <<"child_work()">>)),
    ?assertEqual(<<"7\n">>, eval(boxed, <<"subprocess.run([sys.executable, '-c', 'print(3 + 4)'], capture_output=True, text=True, check=True).stdout">>)).

%% covers: config:sandbox
threads(_) ->
    Code = <<"
def threads(count):
    results = []
    running = [threading.Thread(target=lambda n=n: results.append(n)) for n in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return len(results)
">>,
    ok = py:exec(Code, #{pool => boxed}),
    ?assertEqual(50, eval(boxed, <<"threads(50)">>)).

%% Whoever can send to any process can run code in the node.
%% covers: config:sandbox
messages(_) ->
    Other = spawn_link(fun() -> receive stop -> ok end end),
    true = register(sandbox_bystander, Other),
    Send = fun(Pool) ->
        Code = <<"[erlang.send(to, 'hello') for to in ('sandbox_bystander', other, erlang.whereis('sandbox_bystander'), erlang.self())] and None">>,
        {ok, none} = py:eval(Code, #{other => Other}, #{pool => Pool}),
        {messages, Seen} = process_info(Other, messages),
        Mine = [receive Message when is_binary(Message) -> Message after 0 -> none end || _ <- "12"],
        {length(Seen), Mine}
    end,
    ?assertEqual({0, [<<"hello">>, none]}, Send(boxed)),
    ?assertEqual({3, [<<"hello">>, none]}, Send(free)),
    ok = py_pool:start_pool(other, #{num_workers => 1, sandbox => #{messages => true}}),
    ?assertEqual({6, [<<"hello">>, none]}, Send(other)),
    Other ! stop.

%% covers: config:sandbox
coroutines(_) ->
    ok = py_pool:start_pool(other, #{kind => async, num_workers => 1, sandbox => true}),
    Sleeps = [{asyncio, sleep, [0.01, N]} || N <- lists:seq(1, 50)],
    ?assertEqual({ok, lists:seq(1, 50)}, py:async_gather(Sleeps, #{pool => other})),
    ?assertEqual({ok, 3}, py:call(asyncio, sleep, [0, 3], #{}, #{pool => boxed})).

%% covers: config:sandbox
callbacks_and_streams(_) ->
    ok = py:register_function(sandbox_double, fun([N]) -> 2 * N end),
    ?assertEqual(42, eval(boxed, <<"erlang.call('sandbox_double', 21)">>)),
    Large = binary:copy(<<"x">>, 5_000_000),
    ok = py:register_function(sandbox_large, fun([]) -> {bytes, Large} end),
    ?assertEqual(5_000_000, eval(boxed, <<"len(erlang.call('sandbox_large'))">>)),
    ok = py:unregister_function(sandbox_large),
    ok = py:unregister_function(sandbox_double),
    ?assertEqual({ok, lists:seq(0, 99)}, py:stream_eval(<<"iter(range(100))">>, #{}, #{pool => boxed})).

%% Programs of the system run, with pipes and the worker's temporary directory.
%% covers: config:sandbox
programs(_) ->
    ?assertEqual(<<"3\n">>, eval(boxed, <<"subprocess.run('seq 3 | sort -r | wc -l', shell=True, capture_output=True, text=True).stdout">>)),
    ?assertEqual(<<"held">>, eval(boxed, <<"(lambda f: (f.write('held'), f.seek(0), f.read())[2])(__import__('tempfile').TemporaryFile('w+'))">>)),
    ?assertEqual(true, eval(boxed, <<"len(os.urandom(8)) == 8 and os.cpu_count() > 0 and time.localtime().tm_year > 2000">>)),
    ?assertEqual(true, eval(boxed, <<"__import__('ssl').create_default_context() is not None">>)).

%% covers: config:sandbox
databases(_) ->
    Code = <<"
import sqlite3, tempfile
def database():
    path = os.path.join(tempfile.mkdtemp(), 'data.db')
    connection = sqlite3.connect(path)
    connection.execute('create table t (n integer)')
    with connection:
        connection.executemany('insert into t values (?)', [(n,) for n in range(10)])
    return connection.execute('select sum(n) from t').fetchone()[0]
">>,
    ok = py:exec(Code, #{pool => boxed}),
    ?assertEqual(45, eval(boxed, <<"database()">>)).

%% covers: config:sandbox, config:stdout
output(_) ->
    Self = self(),
    ok = logger:add_handler(sandbox_output, ?MODULE, #{config => Self}),
    ok = py_pool:start_pool(other, #{num_workers => 1, sandbox => true, stdout => logger}),
    none = eval(other, <<"print('from the sandbox')">>),
    receive {logged, Text} when Text =:= <<"from the sandbox">> -> ok after 20000 -> ct:fail(not_logged) end,
    ok = logger:remove_handler(sandbox_output),
    drop_logged().

log(#{msg := Message}, #{config := Pid}) ->
    Text =
        case Message of
            {string, String} -> String;
            {report, Report} -> io_lib:format("~tp", [Report]);
            {Format, Args} -> io_lib:format(Format, Args)
        end,
    Pid ! {logged, unicode:characters_to_binary(Text)}.

drop_logged() ->
    receive {logged, _} -> drop_logged() after 0 -> ok end.

%% covers: config:sandbox, guarantee:crash
crash_and_restart(_) ->
    [Before] = py_test:os_pids(boxed),
    {error, {worker_down, _}} = py:call(os, abort, [], #{}, #{pool => boxed}),
    py_test:until(fun() -> py_test:os_pids(boxed) -- [Before] =/= [] end),
    ?assertEqual(<<"1">>, eval(boxed, <<"status('NoNewPrivs')">>)),
    ?assertEqual(<<"EACCES">>, eval(boxed, <<"attempt(read, '/etc/shadow')">>)).

%% covers: config:sandbox
bad_settings(_) ->
    [
        begin
            {error, {bad_config, Text}} = py_pool:start_pool(other, #{sandbox => Bad}),
            [?assertNotEqual({Bad, Text, nomatch}, {Bad, Text, string:find(Text, Word)}) || Word <- ["sandbox must be", Key]]
        end
     || {Bad, Key} <- [
            {yes, "map"}, {#{colour => red}, "colour"}, {#{read => "/tmp"}, "read"}, {#{read => ["tmp"]}, "absolute"},
            {#{write => ["/no/such/directory"]}, "exist"}, {#{write => all}, "write"}, {#{network => 1}, "network"}, {#{processes => -1}, "processes"},
            {#{files => 3}, "files"}, {#{cpu => 0}, "cpu"}, {#{required => maybe}, "required"}
        ]
    ],
    {error, {bad_config, Named}} = py_pool:start_pool(other, #{sandbox => true, segments => named}),
    ?assertNotEqual(nomatch, string:find(Named, "segments")).

with(Sandbox) ->
    ok = py_pool:start_pool(other, #{num_workers => 1, preload => helpers(), sandbox => Sandbox}).

%% covers: config:sandbox
read_all(Config) ->
    with(#{read => all}),
    Path = filename:join(dir(outside, Config), <<"content.txt">>),
    ?assertEqual(<<"content">>, eval(other, <<"read(path)">>, #{path => Path})),
    ?assertEqual(<<"EACCES">>, eval(other, <<"attempt(write, path)">>, #{path => Path})).

%% covers: config:sandbox
network(_) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    with(#{network => true}),
    ?assertEqual(<<"done">>, eval(other, <<"attempt(connect, socket.AF_INET, ('127.0.0.1', port))">>, #{port => Port})),
    ?assertEqual(<<"EPERM">>, eval(other, <<"attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)">>)),
    ?assertEqual(<<"EPERM">>, eval(other, <<"attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)">>)),
    ok = gen_tcp:close(Listener).

%% Sockets with a path are files that Landlock does not see.
%% covers: config:sandbox
no_unix_sockets(_) ->
    %% The path of a socket has 107 bytes at most.
    Path = string:trim(os:cmd("mktemp -u")),
    {ok, Listener} = gen_tcp:listen(0, [{ifaddr, {local, Path}}]),
    with(#{unix_sockets => false}),
    ?assertEqual(<<"EPERM">>, eval(other, <<"attempt(connect, socket.AF_UNIX, path)">>, #{path => list_to_binary(Path)})),
    ?assertEqual(<<"EPERM">>, eval(other, <<"attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)">>)),
    ?assertEqual({ok, 5}, py:call(asyncio, sleep, [0, 5], #{}, #{pool => other})),
    ?assertEqual({ok, 3_000_000}, py:call(builtins, len, [{bytes, binary:copy(<<1>>, 3_000_000)}], #{}, #{pool => other})),
    ok = gen_tcp:close(Listener),
    ok = file:delete(Path).

%% covers: config:sandbox
no_shared_memory(_) ->
    with(#{}),
    ?assertEqual(<<"done">>, eval(other, <<"attempt(__import__('multiprocessing').Lock)">>)),
    ok = py_pool:stop_pool(other),
    with(#{shared_memory => false}),
    ?assertEqual(<<"EACCES">>, eval(other, <<"attempt(os.listdir, '/dev/shm')">>)),
    ?assertEqual(<<"EACCES">>, eval(other, <<"attempt(__import__('multiprocessing').Lock)">>)).

%% A fork bomb gets no further than its number, whoever throws it.
%% covers: config:sandbox
few_processes(_) ->
    with(#{processes => 10}),
    Code = <<"
def bomb(depth):
    # Every process makes as many as it can.
    for _ in range(20):
        try:
            pid = os.fork()
        except BlockingIOError:
            continue
        if pid == 0:
            if depth:
                bomb(depth - 1)
            time.sleep(3600)
            os._exit(0)

def group():
    mine = [int(n) for n in os.listdir('/proc') if n.isdigit()]
    return sum(1 for pid in mine if group_of(pid) == os.getpgrp())

def group_of(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
">>,
    ok = py:exec(Code, #{pool => other}),
    none = eval(other, <<"bomb(3)">>),
    Most = lists:max([eval(other, <<"group()">>) || _ <- lists:seq(1, 20)]),
    %% Processes that ask at the same moment may be let in together.
    ?assert(Most > 5 andalso Most =< 1 + 2 * 10, Most),
    ?assertEqual(<<"EAGAIN">>, eval(other, <<"attempt(os.fork)">>)),
    [Worker] = py_test:os_pids(other),
    ok = py_test:kill("KILL", Worker),
    py_test:until(fun() -> py_test:os_pids(other) -- [Worker] =/= [] end),
    ?assertEqual(1, eval(other, <<"len([1 for n in os.listdir('/proc') if n.isdigit() and os.getpgid(int(n)) == os.getpgrp()])">>)),
    ok = py_pool:stop_pool(other),
    with(#{processes => 0}),
    ?assertEqual(<<"EAGAIN">>, eval(other, <<"attempt(os.fork)">>)),
    ?assertEqual(none, eval(other, <<"(lambda t: (t.start(), t.join())[1])(threading.Thread(target=int))">>)).

%% covers: config:sandbox
few_files(_) ->
    with(#{files => 100}),
    ?assertEqual(<<"EMFILE">>, eval(other, <<"attempt(lambda: [os.dup(0) for _ in range(200)])">>)),
    ?assertEqual(1, eval(other, <<"1">>)).

%% A worker that has used up its time is replaced.
%% covers: config:sandbox, error:worker_down
cpu(_) ->
    with(#{cpu => 2}),
    [Before] = py_test:os_pids(other),
    {error, {worker_down, _}} = py:eval(<<"any(False for _ in __import__('itertools').count())">>, #{}, #{pool => other}),
    py_test:until(fun() -> py_test:os_pids(other) -- [Before] =/= [] end),
    ?assertEqual(1, eval(other, <<"1">>)).

%% covers: config:sandbox, config:loop
uvloop(_) ->
    Options = #{kind => async, loop => uvloop, num_workers => 1, sandbox => #{unix_sockets => false}},
    case py:eval(<<"__import__('importlib.util').util.find_spec('uvloop') is not None">>) of
        {ok, true} -> uvloop_serves(Options);
        {ok, false} -> {skip, "uvloop is not installed"}
    end.

uvloop_serves(Options) ->
    ok = py_pool:start_pool(other, Options),
    ?assertEqual({ok, [1, 2]}, py:async_gather([{asyncio, sleep, [0.01, 1]}, {asyncio, sleep, [0, 2]}], #{pool => other})).

%% All pools in sandboxes, as by sys.config.
%% covers: config:sandbox
whole_application(_) ->
    ok = py_test:restart([{sandbox, true}, {num_workers, 2}]),
    {ok, 4.0} = py:call(math, sqrt, [16]),
    {ok, [{ok, 1.0}, {ok, 2.0}]} = py:parallel([{math, sqrt, [1]}, {math, sqrt, [4]}]),
    {ok, [1]} = py:async_gather([{asyncio, sleep, [0, 1]}]),
    {error, {'PermissionError', _}} = py:eval(<<"open('/etc/shadow')">>),
    {ok, 5_000_000} = py:call(builtins, len, [{bytes, binary:copy(<<1>>, 5_000_000)}]),
    ok = py_test:restart([{num_workers, 1}]).

%% No keeper and no directory stays behind.
%% covers: config:sandbox, guarantee:node_death
nothing_left(_) ->
    with(true),
    Temporary = eval(other, <<"os.environ['TMPDIR']">>),
    [Worker] = py_test:os_pids(other),
    [Keeper] = keepers(Worker),
    ok = py_pool:stop_pool(other),
    py_test:until(fun() -> not py_test:alive(Keeper) andalso not filelib:is_dir(Temporary) end),
    #{os_pid := Node, workers := [W]} = Peer = py_test:peer([{num_workers, 1}, {sandbox, true}]),
    [K] = keepers(W),
    ok = py_test:kill("KILL", Node),
    py_test:until(fun() -> not lists:any(fun py_test:alive/1, [W, K]) end),
    receive {_, {exit_status, _}} -> ok end,
    py_test:peer_stop(Peer).

%% The keeper of a worker is its sibling: a process of the same parent with the host's program.
keepers(Worker) ->
    Parent = parent(Worker),
    [
        Pid
     || Dir <- filelib:wildcard("/proc/[0-9]*"),
        {ok, <<"py_keeper\n">>} <- [file:read_file(filename:join(Dir, "comm"))],
        Pid <- [list_to_integer(filename:basename(Dir))],
        parent(Pid) =:= Parent
    ].

parent(Pid) ->
    {ok, Stat} = file:read_file("/proc/" ++ integer_to_list(Pid) ++ "/stat"),
    [_, Rest] = string:split(Stat, ") ", trailing),
    binary_to_integer(lists:nth(2, binary:split(Rest, <<" ">>, [global]))).
