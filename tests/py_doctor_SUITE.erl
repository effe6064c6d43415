%% The doctor: what it finds, where nothing works most of all, and that it leaves nothing.
-module(py_doctor_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        healthy, options, bad_options, bad_configuration, no_python, too_old, stand_ins, base_gone, library_missing, misled, imports_fail, preload_is_left_out,
        every_kind, application_runs, pool_fails, no_native_library, no_worker_program, two_at_once, machine, make_target
    ].

init_per_testcase(_Case, Config) ->
    _ = application:load(erlang_python),
    py_test:clear_env(),
    ok = application:set_env(erlang_python, python, py_test:python()),
    ok = application:set_env(erlang_python, num_workers, 2),
    Config.

%% Whatever was found, nothing is left of it.
end_per_testcase(_Case, _Config) ->
    _ = application:stop(erlang_python),
    py_test:clear_env(),
    py_health:nothing_left(),
    [] = py_test:mailbox(),
    ok.

%% What a check returns, and what it prints.
printed(Check) ->
    ok = ct:capture_start(),
    Result = Check(),
    ok = ct:capture_stop(),
    Text = lists:flatten(ct:capture_get()),
    ct:log("~tp~n~ts", [Result, Text]),
    {Result, Text}.

check() -> printed(fun() -> py_doctor:check() end).

check(Options) -> printed(fun() -> py_doctor:check(Options) end).

mentions(Text, Words) ->
    [?assertNotEqual({Word, Text, nomatch}, {Word, Text, string:find(Text, Word)}) || Word <- Words].

silent(Text, Words) ->
    [?assertEqual({Word, nomatch}, {Word, string:find(Text, Word)}) || Word <- Words].

%% The one problem of a pool.
problem(Options) ->
    {{error, [{{pool, checked}, Problem}]}, Text} = check(Options),
    mentions(Text, [["problem  ", Problem], "1 problem,"]),
    {Problem, Text}.

%% covers: py_doctor:check/0
healthy(_) ->
    {ok, Text} = check(),
    {ok, #{default := Default}} = py_config:load(),
    {ok, #{executable := Executable, version := Version}} = py_interpreter:find(Default),
    mentions(Text, [
        "Erlang/OTP " ++ erlang:system_info(otp_release), "py_nif.so", "py_host", "Pool default", binary_to_list(Executable),
        io_lib:format("CPython ~b.~b.~b, 64 bits, with a GIL", tuple_to_list(Version)), "a worker started", "OMP_NUM_THREADS",
        "site-packages", "processors", "memory left", "/dev/shm", "descriptors: ", "address space", "core files", "sandbox", "0 problems"
    ]),
    silent(Text, ["problem  "]),
    [] = py_pool:names().

%% covers: py_doctor:check/1
options(Config) ->
    Dir = venv(Config, "env"),
    {ok, Text} = check(#{python => Dir, num_workers => 3}),
    mentions(Text, ["Pool checked", "virtual environment " ++ Dir, "3 workers", "a worker started"]),
    silent(Text, ["Pool default"]),
    {ok, Both} = check([{venv, Dir}, {python, interpreter(Dir)}]),
    mentions(Both, ["enters " ++ Dir]).

venv(Config, Name) ->
    Dir = filename:join(dir(Config), Name),
    _ = os:cmd(lists:flatten([py_test:python(), " -m venv --without-pip ", Dir])),
    true = filelib:is_regular(interpreter(Dir)),
    Dir.

interpreter(Dir) -> filename:join([Dir, "bin", "python"]).

%% covers: py_doctor:check/1
bad_options(_) ->
    {{error, [{configuration, Problem}]}, Text} = check(#{colour => red}),
    mentions(Problem, ["colour"]),
    mentions(Text, ["Machine", "processors"]).

%% What is wrong with the configuration does not hide what is wrong with Python.
%% covers: py_doctor:check/0
bad_configuration(_) ->
    ok = application:set_env(erlang_python, num_worker, 2),
    {{error, [{configuration, Problem} | _]}, Text} = check(),
    mentions(Problem, ["num_worker", "sys.config"]),
    mentions(Text, ["Configuration", "Pool default"]).

%% covers: py_doctor:check/0
no_python(_) ->
    ok = application:set_env(erlang_python, python, "/no/such/python"),
    {{error, [{{pool, default}, Problem}]}, Text} = check(),
    mentions(Problem, ["/no/such/python", "Set {python,"]),
    mentions(Text, ["1 problem", "Machine"]),
    silent(Text, ["a worker started"]).

%% Interpreters of the machine that are too old say what they are.
%% covers: py_doctor:check/1
too_old(_) ->
    case filelib:wildcard(filename:join(os:getenv("HOME", "/"), ".pyenv/versions/{2.*,3.[0-8].*}/bin/python")) of
        [] -> {skip, "no Python older than 3.9 under pyenv"};
        Old ->
            [
                begin
                    {Problem, Text} = problem(#{python => Python}),
                    mentions(Problem, [Python, "3.9 or later is needed"]),
                    mentions(Text, [": CPython ", " bits", "packages in "])
                end
             || Python <- Old
            ],
            ok
    end.

%% Programs that answer as interpreters do which this machine need not have.
%% covers: py_doctor:check/1
stand_ins(Config) ->
    Answer = fun(Version, Implementation, Bits, Free, Facts) ->
        File = filename:join(dir(Config), "stand-in"),
        ok = file:write_file(File, [
            "#!/bin/sh\nif [ \"$1\" = -c ]; then\nprintf '%s\\n' 'erlang_python probe' '", Version, "' ", Implementation, " ", Bits, " ", Free,
            " /bin/sh /usr 'version text'\nelse\nprintf '%s\\n' 'a start-up file' 'erlang_python describe'\nprintf '%s\\t%s\\n' implementation ", Implementation,
            " version '", lists:join(".", string:lexemes(Version, " ")), "' bits ", Bits, " free_threaded ", Free, " ", Facts, "\nfi\n"
        ]),
        ok = file:change_mode(File, 8#755),
        problem(#{python => File})
    end,
    {PyPy, PyPyText} = Answer("3 10 0", "PyPy", "64", "0", ""),
    mentions(PyPy, ["PyPy", "CPython"]),
    mentions(PyPyText, ["PyPy 3.10.0, 64 bits"]),
    {Small, SmallText} = Answer("3 12 0", "CPython", "32", "0", ""),
    mentions(Small, ["32-bit", "64 bits are needed"]),
    mentions(SmallText, ["CPython 3.12.0, 32 bits"]),
    {Free, FreeText} = Answer("3 13 0", "CPython", "64", "1", "debug 1"),
    mentions(Free, ["free-threaded"]),
    mentions(FreeText, ["free-threaded", "warning ", "debug build"]),
    {_, Slow} = Answer("3 8 0", "CPython", "64", "0", "flags -O0 libpython none"),
    mentions(Slow, ["-O0; no shared libpython: not optimised"]),
    %% Answers of no use are no reason to fail.
    {_, _} = Answer("3 8 0", "CPython", "''", "''", "'' '' x"),
    ok.

%% covers: py_doctor:check/1
base_gone(Config) ->
    Dir = venv(Config, "gone"),
    Cfg = filename:join(Dir, "pyvenv.cfg"),
    {ok, Text} = file:read_file(Cfg),
    ok = file:write_file(Cfg, re:replace(Text, "^home = .*$", "home = /no/such/base", [multiline])),
    ok = file:delete(interpreter(Dir)),
    ok = file:make_symlink("/no/such/base/python3", interpreter(Dir)),
    {Problem, _} = problem(#{python => Dir}),
    mentions(Problem, [Dir, "/no/such/base", "is gone", "venv --clear"]).

%% The words of the loader.
%% covers: py_doctor:check/1
library_missing(Config) ->
    File = filename:join(dir(Config), "unloadable"),
    ok = file:write_file(File, <<
        "#!/bin/sh\necho \"$0: error while loading shared libraries: libpython3.9.so.1.0: cannot open shared object file\" >&2\nexit 127\n"
    >>),
    ok = file:change_mode(File, 8#755),
    {Problem, _} = problem(#{python => File}),
    mentions(Problem, ["libpython3.9.so.1.0", "LD_LIBRARY_PATH"]).

%% covers: py_doctor:check/1
misled(_) ->
    {ok, #{default := Default}} = py_config:load(),
    {ok, #{executable := Executable}} = py_interpreter:find(Default),
    Home = string:trim(os:cmd(binary_to_list(Executable) ++ " -c 'import sys; print(sys.base_prefix)'")),
    {ok, Text} = check(#{env => [{"PYTHONHOME", Home}, {"PYTHONPATH", "/some/where"}]}),
    mentions(Text, ["warning  PYTHONHOME is " ++ Home, "PYTHONPATH is /some/where"]).

%% covers: py_doctor:check/1
imports_fail(_) ->
    {Problem, _} = problem(#{imports => [no_such_module_here]}),
    mentions(Problem, ["a worker could not start", "no_such_module_here", "imports"]).

%% Code of the user may want the application.
%% covers: py_doctor:check/1
preload_is_left_out(_) ->
    {ok, Text} = check(#{preload => <<"import erlang; erlang.call('no_such_function')">>}),
    mentions(Text, ["a worker started"]).

%% covers: py_doctor:check/1
every_kind(_) ->
    [
        begin
            {ok, Text} = check(Options),
            mentions(Text, ["a worker started"])
        end
     || Options <- [#{kind => async}, #{segments => named}, #{stdout => logger, max_calls => 1, memory_limit => 1 bsl 30}, #{env => clean, num_executors => 2}]
    ],
    ok.

%% covers: py_doctor:check/0
application_runs(_) ->
    ok = py_test:start([{num_workers, 2}, {pools, #{second => #{num_workers => 1}}}]),
    ok = py_pool:start_pool(third, #{num_workers => 1}),
    Before = lists:sort(py_test:os_pids()),
    {ok, Text} = check(),
    mentions(Text, ["Pool default", "2 of 2 workers serve", "Pool second", "Pool third", "1 of 1 workers serve"]),
    silent(Text, ["a worker started"]),
    {ok, Other} = check(#{num_workers => 1}),
    mentions(Other, ["a worker started"]),
    ?assertEqual(Before, lists:sort(py_test:os_pids())),
    {ok, 2.0} = py:call(math, sqrt, [4]).

%% covers: py_doctor:check/0
pool_fails(Config) ->
    Switch = filename:join(dir(Config), "switch"),
    ok = py_test:start([{num_workers, 1}]),
    ok = py_pool:start_pool(failing, #{num_workers => 1, preload => iolist_to_binary(["import os\nif os.path.exists('", Switch, "'): raise ValueError('of the test')"])}),
    ok = file:write_file(Switch, <<>>),
    [ok = py_test:kill("KILL", OsPid) || OsPid <- py_test:os_pids(failing)],
    py_test:until(fun() -> maps:get(failing, py_pool:get_stats(failing)) end),
    {{error, [{{pool, failing}, Problem}]}, _} = check(),
    mentions(Problem, ["no worker stays up", "of the test"]).

%% A node of a copy of the application in which `Change' was made to priv: what a check prints there.
checked_copy(Config, Case, Change) ->
    Copy = filename:join([dir(Config), Case, "erlang_python"]),
    [Priv, Ebin] = [filename:join(Copy, Name) || Name <- ["priv", "ebin"]],
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    [] = os:cmd(lists:join(" ", ["cp -r", filename:join(code:lib_dir(erlang_python), "ebin/."), Ebin])),
    [] = os:cmd(lists:join(" ", ["cp -rL", filename:dirname(py_nif:library()), Priv])),
    ok = Change(Priv),
    {1, Text} = run("erl", ["-noinput", "-noshell", "-pa", Ebin, "-erlang_python", "python", io_lib:format("~p", [py_test:python()]), "-eval", "py_doctor:main()."]),
    Text.

run(Program, Args) ->
    Port = open_port({spawn_executable, os:find_executable(Program)}, [{args, Args}, binary, exit_status, stderr_to_stdout, hide]),
    ended(Port, []).

ended(Port, Output) ->
    receive
        {Port, {data, Data}} ->
            ended(Port, [Output, Data]);
        {Port, {exit_status, Status}} ->
            Text = unicode:characters_to_list(iolist_to_binary(Output)),
            ct:log("~b~n~ts", [Status, Text]),
            {Status, Text}
    end.

%% covers: py_doctor:check/0
no_native_library(Config) ->
    Text = checked_copy(Config, "no_library", fun(Priv) -> file:delete(filename:join(Priv, "py_nif.so")) end),
    mentions(Text, ["problem  could not load", "py_nif.so", "No such file", "make build", "CPython 3.", "memory left", "1 problem,"]),
    Wrong = checked_copy(Config, "wrong_library", fun(Priv) -> file:write_file(filename:join(Priv, "py_nif.so"), "of another machine") end),
    mentions(Wrong, ["problem  could not load", "make build", "1 problem,"]).

%% covers: py_doctor:check/0
no_worker_program(Config) ->
    Text = checked_copy(Config, "no_host", fun(Priv) -> file:delete(filename:join(Priv, "py_host")) end),
    mentions(Text, ["problem  could not run", "py_host", "enoent", "make build", "problem  a worker could not start", "processors"]),
    Core = checked_copy(Config, "no_core", fun(Priv) -> file:delete(filename:join(Priv, "py_core.so")) end),
    mentions(Core, ["there is no", "py_core.so", "make build"]).

%% covers: py_doctor:check/0
two_at_once(_) ->
    Self = self(),
    Checks = [spawn_link(fun() -> Self ! {self(), py_doctor:check()} end) || _ <- lists:seq(1, 3)],
    [receive {Check, Result} -> ?assertEqual(ok, Result) end || Check <- Checks].

%% Machines that this is not.
%% covers: py_doctor:check/0
machine(_) ->
    {ok, #{default := Default}} = py_config:load([{num_workers, 4}]),
    Good = #{
        <<"version">> => <<"1">>, <<"sealed_memfds">> => <<"true">>, <<"landlock">> => <<"4">>, <<"seccomp">> => <<"true">>,
        <<"memory_left">> => integer_to_binary(1 bsl 33), <<"dev_shm">> => integer_to_binary(1 bsl 30)
    },
    Found = fun(Facts, Config) -> [{Level, Text} || {Level, Text} <- py_doctor_machine:findings({ok, Facts}, [Config]), Level =/= ok] end,
    Usual = Found(Good, Default),
    New = fun(Facts, Config) -> Found(maps:merge(Good, Facts), Config) -- Usual end,
    [] = New(#{}, Default#{sandbox := true}),
    [{problem, Memory}] = New(#{<<"memory_left">> => <<"20000000">>, <<"memory_limit">> => <<"64000000">>}, Default),
    mentions(Memory, ["19 MiB", "limited to 61 MiB", "lower num_workers"]),
    [{warning, Shm}] = New(#{<<"dev_shm">> => <<"1048576">>}, Default),
    mentions(Shm, ["/dev/shm has 1 MiB", "--shm-size"]),
    [{problem, Named}] = New(#{<<"dev_shm">> => <<"1048576">>}, Default#{segments := named}),
    mentions(Named, ["named segments need 10 MiB", "--shm-size"]),
    [{warning, _}] = New(#{<<"sealed_memfds">> => <<"false">>}, Default),
    [] = New(#{<<"landlock">> => <<"0">>}, Default),
    [] = New(#{<<"landlock">> => <<"0">>}, Default#{sandbox := #{required => false}}),
    [{problem, Sandbox}] = New(#{<<"landlock">> => <<"0">>, <<"seccomp">> => <<"false">>}, Default#{sandbox := true}),
    mentions(Sandbox, ["Landlock", "seccomp"]),
    %% Nothing is known: what can be said without is said.
    [_ | _] = py_doctor_machine:findings({error, "it is gone"}, [Default]),
    {error, Reason} = py_doctor_machine:facts("/no/such/py_host"),
    mentions(Reason, ["enoent"]),
    {error, _} = py_doctor_machine:facts("/bin/false").

%% covers: py_doctor:check/0, py_doctor:check/1
make_target(Config) ->
    %% priv is a link into the repository.
    Root = string:trim(os:cmd("cd -P " ++ filename:join(code:priv_dir(erlang_python), "..") ++ " && pwd")),
    SysConfig = filename:join(dir(Config), "sys.config"),
    ok = file:write_file(SysConfig, io_lib:format("[{erlang_python, [{python, ~p}]}].~n", [filename:absname(os:find_executable(py_test:python()))])),
    {0, Good} = run("make", ["-s", "-C", Root, "doctor", "CONFIG=" ++ SysConfig]),
    mentions(Good, ["Pool default", "a worker started", "0 problems"]),
    {Status, Bad} = run("make", ["-s", "-C", Root, "doctor", "OPTIONS=#{python => \"/no/such/python\"}"]),
    ?assertNotEqual(0, Status),
    mentions(Bad, ["Pool checked", "/no/such/python", "1 problem,"]).

%% All suites of a run share one priv_dir.
dir(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "doctor"),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    Dir.
