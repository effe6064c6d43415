%% Virtual environments: entered and left while workers run, made with packages in them, and option `venv'.
-module(py_venv_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        activate, restored, path_files, editable_importer, switch, later_workers, changed_meanwhile, bound_worker, children_of_worker, invalid, other_version, info,
        ensure_creates, ensure_again_is_fast, ensure_adopts, ensure_failure_leaves_nothing, ensure_not_a_venv, ensure_two_at_once, ensure_bad_arguments,
        ensure_timeout, ensure_caller_dies, ensure_unfinished, ensure_installs, ensure_file_of_requirements, ensure_from_the_registry,
        ensure_with_uv, option_venv, option_venv_with_python, option_venv_of_other_version, not_started
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Dir = fun(Name) -> filename:join(proplists:get_value(priv_dir, Config), Name) end,
    [ok = make(Dir(Name)) || Name <- ["first", "second"]],
    [{first, Dir("first")}, {second, Dir("second")} | Config].

end_per_suite(_Config) ->
    ok = py_test:start(),
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = py_test:start(),
    py_test:whole(default),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = py:deactivate_venv(),
    ok.

%% An environment of the interpreter under test, with a package `where' that says where it is.
make(Dir) ->
    ok = python(["-m", "venv", "--without-pip", Dir]),
    ok = file:write_file(filename:join(packages(Dir), "where.py"), ["name = '", filename:basename(Dir), "'\n"]).

executable() ->
    #{interpreter := #{executable := Python}} = py_pool:spec(default),
    Python.

python(Args) ->
    Port = open_port({spawn_executable, executable()}, [{args, Args}, exit_status, binary, stderr_to_stdout]),
    python_ended(Port).

python_ended(Port) ->
    receive
        {Port, {data, Data}} -> ct:log("~ts", [Data]), python_ended(Port);
        {Port, {exit_status, 0}} -> ok;
        {Port, {exit_status, Status}} -> {error, Status}
    end.

packages(Dir) ->
    #{interpreter := #{version := {Major, Minor, _}}} = py_pool:spec(default),
    filename:join([Dir, "lib", io_lib:format("python~b.~b", [Major, Minor]), "site-packages"]).

text(Path) ->
    unicode:characters_to_binary(Path).

%% What an expression is on every common worker.
everywhere(Code) ->
    lists:usort([case Answer of {ok, Value} -> Value; {error, {Type, _}} -> Type end || {_, _, Answer} <- py_everywhere:ask({eval, Code, []}, 20000)]).

state() ->
    everywhere(
        <<"(lambda sys, os: (sys.path[:], dict(os.environ), sys.prefix, sys.exec_prefix, len(sys.meta_path), len(sys.path_hooks)))"
          "(__import__('sys'), __import__('os'))">>
    ).

forget(Module) ->
    [none] = everywhere(iolist_to_binary(["__import__('sys').modules.pop('", Module, "', None) and None"])),
    ok.

where() ->
    Found = everywhere(<<"__import__('importlib').import_module('where').name">>),
    ok = forget("where"),
    Found.

%% covers: py:activate_venv/1
activate(Config) ->
    First = proplists:get_value(first, Config),
    ['ModuleNotFoundError'] = where(),
    ok = py:activate_venv(First),
    [<<"first">>] = where(),
    [Entry] = everywhere(<<"__import__('sys').path[0]">>),
    ?assertEqual(text(packages(First)), Entry),
    [{Venv, Path, Prefix}] = everywhere(<<"(lambda os: (os.environ['VIRTUAL_ENV'], os.environ['PATH'], __import__('sys').prefix))(__import__('os'))">>),
    ?assertEqual({text(First), text(First)}, {Venv, Prefix}),
    ?assertEqual(text([First, "/bin:", os:getenv("PATH")]), Path),
    ok = py:activate_venv(text(First)),
    [<<"first">>] = where(),
    ok = py:deactivate_venv(),
    ['ModuleNotFoundError'] = where().

%% covers: py:deactivate_venv/0
restored(Config) ->
    Before = state(),
    ok = py:activate_venv(proplists:get_value(first, Config)),
    ?assertNotEqual(Before, state()),
    ok = py:deactivate_venv(),
    ?assertEqual(Before, state()),
    ok = py:deactivate_venv(),
    ?assertEqual(Before, state()).

%% covers: py:activate_venv/1, py:deactivate_venv/0
path_files(Config) ->
    Second = proplists:get_value(second, Config),
    Extra = filename:join(proplists:get_value(priv_dir, Config), "extra"),
    File = filename:join(packages(Second), "extra.pth"),
    ok = file:make_dir(Extra),
    ok = file:write_file(filename:join(Extra, "in_extra.py"), <<"value = 7\n">>),
    ok = file:write_file(File, [Extra, "\n", "import sys; sys.from_path_file = 1\n"]),
    Before = state(),
    ok = py:activate_venv(Second),
    [7] = everywhere(<<"__import__('in_extra').value">>),
    [1] = everywhere(<<"__import__('sys').from_path_file">>),
    ok = py:deactivate_venv(),
    ?assertEqual(Before, state()),
    ok = file:delete(File).

%% Editable installations put importers into sys.meta_path and sys.path_hooks.
%% covers: py:deactivate_venv/0
editable_importer(Config) ->
    Second = proplists:get_value(second, Config),
    File = filename:join(packages(Second), "editable.pth"),
    ok = file:write_file(filename:join(packages(Second), "finder_of_second.py"), <<
        "import sys\nclass Finder:\n  @classmethod\n  def find_spec(cls, name, path=None, target=None): return None\n"
        "def hook(path): raise ImportError\ndef install():\n  sys.meta_path.append(Finder)\n  sys.path_hooks.append(hook)\n"
    >>),
    ok = file:write_file(File, <<"import finder_of_second; finder_of_second.install()\n">>),
    Before = state(),
    ok = py:activate_venv(Second),
    [true] = everywhere(<<"any(f.__name__ == 'Finder' for f in __import__('sys').meta_path if hasattr(f, '__name__'))">>),
    ok = py:deactivate_venv(),
    ?assertEqual(Before, state()),
    ok = file:delete(File).

%% covers: py:activate_venv/1
switch(Config) ->
    Before = state(),
    ok = py:activate_venv(proplists:get_value(first, Config)),
    ok = py:activate_venv(proplists:get_value(second, Config)),
    [<<"second">>] = where(),
    [true] = everywhere(text(["not any('", proplists:get_value(first, Config), "' in v for v in __import__('os').environ.values())"])),
    ok = py:deactivate_venv(),
    ?assertEqual(Before, state()).

%% covers: py:activate_venv/1, py:deactivate_venv/0
later_workers(Config) ->
    ok = py:activate_venv(proplists:get_value(first, Config)),
    _ = py_pool:stop_pool(parallel),
    {ok, [{ok, <<"first">>}]} = py:parallel([{builtins, eval, [<<"__import__('where').name">>]}]),
    [Victim | _] = py_test:os_pids(default),
    ok = py_test:kill("9", Victim),
    py_test:until(fun() -> not lists:member(Victim, py_test:os_pids(default)) end),
    py_test:whole(default),
    [<<"first">>] = where(),
    ok = py:deactivate_venv(),
    _ = py_pool:stop_pool(parallel),
    {ok, [{error, {'ModuleNotFoundError', _}}]} = py:parallel([{builtins, eval, [<<"__import__('where').name">>]}]).

%% What a program changed in between stays.
%% covers: py:deactivate_venv/0
changed_meanwhile(Config) ->
    ok = py:activate_venv(proplists:get_value(first, Config)),
    ok = py:exec_all(<<"import sys, os; sys.path.insert(0, '/mine'); sys.path.append('/last'); os.environ['VIRTUAL_ENV'] = 'changed'">>),
    ok = py:deactivate_venv(),
    [{<<"/mine">>, <<"/last">>, <<"changed">>}] = everywhere(<<"(sys.path[0], sys.path[-1], os.environ['VIRTUAL_ENV'])">>),
    ['ModuleNotFoundError'] = where(),
    ok = py:exec_all(<<"sys.path.remove('/mine'); sys.path.remove('/last'); del os.environ['VIRTUAL_ENV']">>).

%% An environment that was entered or left while somebody had the worker is there, or gone, when it is put back.
%% covers: py:activate_venv/1, py:deactivate_venv/0
bound_worker(Config) ->
    Seen = fun() -> py:eval(<<"(__import__('importlib').util.find_spec('where') is not None, __import__('os').environ.get('VIRTUAL_ENV'))">>) end,
    ok = py:exec_all(<<"import importlib.util">>),
    First = proplists:get_value(first, Config),
    [Before] = state(),
    ok = py:bind(),
    {ok, OsPid} = py:call(os, getpid, []),
    ok = py:exec(<<"import sys, os\nsys.path.insert(0, '/of/the/owner')\nos.environ['OF_THE_OWNER'] = '1'">>),
    ok = py:activate_venv(First),
    ?assertEqual({ok, {true, text(First)}}, Seen()),
    ok = py:unbind(),
    ?assertEqual([{true, text(First)}], lists:usort([V || _ <- lists:seq(1, 20), {ok, V} <- [Seen()]])),
    [false] = everywhere(<<"'/of/the/owner' in __import__('sys').path or 'OF_THE_OWNER' in __import__('os').environ">>),
    ok = py:bind(),
    ok = py:exec(<<"import sys\nsys.path.append('/of/the/owner')">>),
    ok = py:deactivate_venv(),
    ok = py:unbind(),
    ?assertEqual([Before], state()),
    true = lists:member(OsPid, py_test:os_pids(default)).

%% Programs that a worker starts find the environment on PATH.
%% covers: py:activate_venv/1
children_of_worker(Config) ->
    ok = py:activate_venv(proplists:get_value(first, Config)),
    Code = <<"__import__('subprocess').check_output(['python', '-c', 'import where; print(where.name)'], text=True).strip()">>,
    [<<"first">>] = everywhere(Code),
    Spawned = <<"(lambda pool: (pool.apply(eval, ('__import__(\"where\").name',)), pool.terminate()))(__import__('multiprocessing').get_context('spawn').Pool(1))[0]">>,
    [<<"first">>] = everywhere(Spawned).

%% covers: py:activate_venv/1
invalid(Config) ->
    Empty = filename:join(proplists:get_value(priv_dir, Config), "empty"),
    ok = file:make_dir(Empty),
    [{error, {invalid_venv, Path}} = py:activate_venv(Path) || Path <- [Empty, text(Empty), "/no/such/directory", '/etc', <<255, 254>>]],
    [{error, {badarg, path}} = py:activate_venv(Path) || Path <- [1, "", <<>>, {x}, [a, b], <<"a", 0>>]],
    {ok, #{active := _}} = py:venv_info().

%% covers: py:activate_venv/1
other_version(Config) ->
    First = proplists:get_value(first, Config),
    #{interpreter := #{version := {Major, Minor, Micro} = Version}} = py_pool:spec(default),
    true = py_venv:check(First, Version),
    false = py_venv:check(First, {Major, Minor + 1, Micro}),
    Other = filename:join(proplists:get_value(priv_dir, Config), "other"),
    ok = filelib:ensure_dir(filename:join([packages(Other), "x"])),
    Write = fun(Text) -> ok = file:write_file(filename:join(Other, "pyvenv.cfg"), Text) end,
    Write(<<"home = /usr/bin\nversion = 2.7.18\n">>),
    {error, {invalid_venv, Other}} = py:activate_venv(Other),
    Write(<<"home = /usr/bin\nversion_info = 3.1.0.final.0\n">>),
    {error, {invalid_venv, Other}} = py:activate_venv(Other),
    Write(io_lib:format("home = /usr/bin\nversion_info = ~b.~b.0.final.0\n", [Major, Minor])),
    ok = py:activate_venv(Other).

%% covers: py:venv_info/0
info(Config) ->
    First = proplists:get_value(first, Config),
    {ok, Before} = py:venv_info(),
    ok = py:activate_venv(First),
    {ok, #{active := true, venv_path := Path, site_packages := Packages, source := activated}} = py:venv_info(),
    ?assertEqual({text(First), text(packages(First))}, {Path, Packages}),
    ok = py:deactivate_venv(),
    {ok, Before} = py:venv_info().

target(Case, Config) ->
    filename:join(proplists:get_value(priv_dir, Config), atom_to_list(Case)).

%% covers: py:ensure_venv/2
ensure_creates(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    ok = py:ensure_venv(Dir, []),
    {ok, #{venv_path := Path}} = py:venv_info(),
    ?assertEqual(text(Dir), Path),
    [true] = everywhere(text(["__import__('sys').path[0].startswith('", Dir, "')"])).

%% The second time no program is run.
%% covers: py:ensure_venv/2, py:ensure_venv/3
ensure_again_is_fast(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    {First, ok} = py_test:timed(fun() -> py:ensure_venv(Dir, [], #{activate => false}) end),
    {ok, Info} = py:venv_info(),
    ?assertNotEqual(text(Dir), maps:get(venv_path, Info, none)),
    Fastest = lists:min([element(1, py_test:timed(fun() -> ok = py:ensure_venv(Dir, [], #{activate => false}) end)) || _ <- lists:seq(1, 10)]),
    ct:log("~b ms, then ~b ms", [First, Fastest]),
    ?assert(Fastest * 5 < First),
    ok = py:ensure_venv(Dir, [], #{force => true}).

%% An environment that somebody else made is used as it is, and not removed when an installation fails.
%% covers: py:ensure_venv/3
ensure_adopts(Config) ->
    First = proplists:get_value(first, Config),
    ok = py:ensure_venv(First, []),
    [<<"first">>] = where(),
    {error, {venv_failed, _}} = py:ensure_venv(First, ["no such requirement at all"], #{args => ["--no-index"], installer => pip}),
    ok = py:activate_venv(First),
    [<<"first">>] = where().

%% covers: py:ensure_venv/3
ensure_failure_leaves_nothing(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    {error, {venv_failed, Text}} = py:ensure_venv(Dir, ["no-such-package-of-ours"], #{args => ["--no-index"], installer => pip}),
    ?assertNotEqual(nomatch, string:find(Text, "no-such-package-of-ours")),
    false = filelib:is_file(Dir).

%% covers: py:ensure_venv/2
ensure_not_a_venv(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    ok = file:write_file(filename:join(Dir, "precious"), <<"data">>),
    {error, {invalid_venv, Dir}} = py:ensure_venv(Dir, []),
    {ok, <<"data">>} = file:read_file(filename:join(Dir, "precious")).

%% covers: py:ensure_venv/2
ensure_two_at_once(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {self(), py:ensure_venv(Dir, [])} end) || _ <- lists:seq(1, 4)],
    [receive {Pid, Result} -> ?assertEqual(ok, Result) end || Pid <- Pids],
    ok = py:activate_venv(Dir).

%% covers: py:ensure_venv/3
ensure_bad_arguments(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    {error, {badarg, path}} = py:ensure_venv(1, []),
    [{error, {badarg, requirements}} = py:ensure_venv(Dir, R) || R <- [[1.0], ["--index-url=x"], [<<>>], 7, {file, 7}, ["six" | six]]],
    {error, {enoent, _}} = py:ensure_venv(Dir, {file, "/no/such/file"}),
    {error, {enoent, _}} = py:ensure_venv(Dir, "/no/such/file"),
    [{error, {bad_option, Key}} = py:ensure_venv(Dir, [], #{Key => bad}) || Key <- [timeout, installer, args, activate, force, colour]],
    {error, {badarg, options}} = py:ensure_venv(Dir, [], 5),
    %% No shell sees what is required.
    Made = filename:join(proplists:get_value(priv_dir, Config), "injected"),
    {error, {venv_failed, _}} = py:ensure_venv(Dir, [["x; touch ", Made], ["$(touch ", Made, ")"]], #{args => ["--no-index"], installer => pip}),
    false = filelib:is_file(Made),
    false = filelib:is_file(Dir).

%% A source package whose build takes for ever.
slow_package(Config, Name) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), Name),
    File = filename:join(Dir, "backend.py"),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(filename:join(Dir, "pyproject.toml"), <<"[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n">>),
    ok = file:write_file(File, ["import os, time\nopen('", Dir, "/started', 'w').write(str(os.getpid()))\ntime.sleep(3600)\n"]),
    {Dir, filename:join(Dir, "started")}.

builder(Started) ->
    py_test:until(fun() -> case file:read_file(Started) of {ok, <<_, _/binary>>} -> true; _ -> false end end, 60000),
    {ok, OsPid} = file:read_file(Started),
    binary_to_integer(OsPid).

ensure_slow(Dir, Package, Timeout) ->
    py:ensure_venv(Dir, [Package], #{args => ["--no-index"], installer => pip, timeout => Timeout}).

%% covers: py:ensure_venv/3
ensure_timeout(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    {error, timeout} = ensure_slow(Dir, "no-such-package", 0),
    py_test:until(fun() -> not filelib:is_file(Dir) end).

%% The installer ends with the process that wanted it, and what it had made is removed.
%% covers: py:ensure_venv/3
ensure_caller_dies(Config) ->
    with_ensurepip(fun() ->
        Dir = target(ensure_caller_dies, Config),
        {Package, Started} = slow_package(Config, "slow"),
        {Pid, Monitor} = spawn_monitor(fun() -> ensure_slow(Dir, Package, infinity) end),
        Builder = builder(Started),
        true = py_test:alive(Builder),
        exit(Pid, kill),
        receive {'DOWN', Monitor, process, Pid, killed} -> ok end,
        py_test:until(fun() -> not py_test:alive(Builder) end),
        py_test:until(fun() -> not filelib:is_file(Dir) end)
    end).

%% What a program that was killed has left is made anew.
%% covers: py:ensure_venv/2
ensure_unfinished(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    ok = file:write_file(filename:join(Dir, ".erlang_python.unfinished"), <<>>),
    ok = file:write_file(filename:join(Dir, "half"), <<>>),
    ok = py:ensure_venv(Dir, []),
    false = filelib:is_file(filename:join(Dir, "half")),
    false = filelib:is_file(filename:join(Dir, ".erlang_python.unfinished")).

%% A wheel is a zip file.
wheel(Config, Version) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "tiny_thing-" ++ Version ++ "-py3-none-any.whl"),
    Info = "tiny_thing-" ++ Version ++ ".dist-info/",
    Files = [
        {"tiny_thing.py", ["version = '", Version, "'\n"]},
        {Info ++ "METADATA", ["Metadata-Version: 2.1\nName: tiny-thing\nVersion: ", Version, "\n"]},
        {Info ++ "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
        {Info ++ "RECORD", ["tiny_thing.py,,\n", Info, "METADATA,,\n", Info, "WHEEL,,\n", Info, "RECORD,,\n"]}
    ],
    {ok, _} = zip:create(File, [{Name, iolist_to_binary(Text)} || {Name, Text} <- Files]),
    File.

with_ensurepip(Fun) ->
    case python(["-c", "import ensurepip"]) of
        ok -> Fun();
        {error, _} -> {skip, "this Python is without ensurepip"}
    end.

tiny() ->
    Version = everywhere(<<"__import__('importlib').import_module('tiny_thing').version">>),
    ok = forget("tiny_thing"),
    Version.

%% New requirements are installed into the active environment, and workers see them.
%% covers: py:ensure_venv/2, py:ensure_venv/3
ensure_installs(Config) ->
    with_ensurepip(fun() ->
        Dir = target(ensure_installs, Config),
        Options = #{args => ["--no-index"], installer => pip},
        ok = py:ensure_venv(Dir, []),
        ['ModuleNotFoundError'] = tiny(),
        ok = py:ensure_venv(Dir, [wheel(Config, "1.0")], Options),
        [<<"1.0">>] = tiny(),
        ok = py:ensure_venv(Dir, [text(wheel(Config, "2.0"))], Options),
        [<<"2.0">>] = tiny()
    end).

%% covers: py:ensure_venv/2
ensure_file_of_requirements(Config) ->
    with_ensurepip(fun() ->
        File = filename:join(proplists:get_value(priv_dir, Config), "requirements.txt"),
        Require = fun(Version) -> ok = file:write_file(File, ["--no-index\n", wheel(Config, Version), "\n"]) end,
        Dir = target(ensure_file_of_requirements, Config),
        Require("1.0"),
        ok = py:ensure_venv(Dir, {file, File}, #{installer => pip}),
        [<<"1.0">>] = tiny(),
        Require("2.0"),
        ok = py:ensure_venv(Dir, File, #{installer => pip}),
        [<<"2.0">>] = tiny()
    end).

%% covers: py:ensure_venv/2
ensure_from_the_registry(Config) ->
    with_ensurepip(fun() ->
        case py:ensure_venv(target(ensure_from_the_registry, Config), ["iniconfig==2.0.0"], #{args => ["--timeout=10", "--retries=1"], installer => pip}) of
            ok ->
                [true] = everywhere(<<"__import__('importlib').import_module('iniconfig').__file__.startswith(__import__('sys').prefix)">>),
                forget("iniconfig");
            {error, {venv_failed, Text}} ->
                ct:log("~ts", [Text]),
                {skip, "the registry is out of reach"}
        end
    end).

%% On PATH, or beside the interpreter under test.
%% covers: py:ensure_venv/3
ensure_with_uv(Config) ->
    Dir = target(?FUNCTION_NAME, Config),
    Path = os:getenv("PATH"),
    Wider = Path ++ ":" ++ filename:dirname(py_test:python()),
    case os:find_executable("uv", Wider) of
        false ->
            {error, {venv_failed, Text}} = py:ensure_venv(Dir, [], #{installer => uv}),
            ?assertNotEqual(nomatch, string:find(Text, "uv")),
            {skip, "there is no uv"};
        _ ->
            true = os:putenv("PATH", Wider),
            Options = #{args => ["--no-index"]},
            try
                ok = py:ensure_venv(Dir, [wheel(Config, "1.0")], Options),
                [<<"1.0">>] = tiny(),
                {error, {venv_failed, _}} = py:ensure_venv(Dir, ["no-such-package-of-ours"], Options),
                [<<"1.0">>] = tiny(),
                {error, {venv_failed, _}} = py:ensure_venv(Dir ++ "2", ["no-such-package-of-ours"], Options),
                false = filelib:is_file(Dir ++ "2"),
                ok = py:ensure_venv(Dir, [wheel(Config, "2.0")], Options#{installer => uv}),
                [<<"2.0">>] = tiny()
            after
                true = os:putenv("PATH", Path)
            end
    end.

%% Before preload, and with the environment's own interpreter.
%% covers: config:venv
option_venv(Config) ->
    Second = proplists:get_value(second, Config),
    {ok, Python} = application:get_env(erlang_python, python),
    ok = application:unset_env(erlang_python, python),
    ok = py_pool:start_pool(own, #{num_workers => 1, venv => Second, preload => <<"import where">>}),
    ok = application:set_env(erlang_python, python, Python),
    {ok, true} = py:eval(<<"__import__('sys').executable.startswith(prefix)">>, #{prefix => text(Second)}, #{pool => own}),
    {ok, {<<"second">>, Prefix, Prefix}} = py:eval(<<"(where.name, __import__('sys').prefix, __import__('os').environ['VIRTUAL_ENV'])">>, #{}, #{pool => own}),
    ?assertEqual(text(Second), Prefix),
    ok = py_pool:stop_pool(own).

%% covers: config:venv, config:python
option_venv_with_python(Config) ->
    py_test:restart([{num_workers, 1}, {venv, proplists:get_value(first, Config)}, {preload, <<"import where">>}]),
    {ok, {<<"first">>, Executable}} = py:eval(<<"(where.name, __import__('sys').executable)">>),
    ?assertEqual(executable(), Executable),
    {ok, #{active := true, source := configured, venv_path := Path}} = py:venv_info(),
    ?assertEqual(text(proplists:get_value(first, Config)), Path),
    ok = py:activate_venv(proplists:get_value(second, Config)),
    [<<"second">>] = (fun() -> ok = forget("where"), where() end)(),
    ok = py:deactivate_venv(),
    [<<"first">>] = where(),
    py_test:stop().

%% covers: config:venv
option_venv_of_other_version(Config) ->
    Other = filename:join(proplists:get_value(priv_dir, Config), "of_other_version"),
    ok = filelib:ensure_dir(filename:join([packages(Other), "x"])),
    ok = file:write_file(filename:join(Other, "pyvenv.cfg"), <<"version = 3.1\n">>),
    {error, {no_python, Text}} = py_pool:start_pool(own, #{python => py_test:python(), venv => Other}),
    ?assertNotEqual(nomatch, string:find(Text, Other)).

%% covers: error:not_started
not_started(Config) ->
    First = proplists:get_value(first, Config),
    py_test:stop(),
    {error, not_started} = py:activate_venv(First),
    {error, not_started} = py:deactivate_venv(),
    {error, not_started} = py:venv_info(),
    {error, not_started} = py:ensure_venv(First, []).
