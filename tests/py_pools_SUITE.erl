%% Several pools in one node: what takes option `pool', option `pools_of', and pools of different Pythons and environments.
-module(py_pools_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        calls, streams, event_loops, contexts, all_workers, code_of_a_pool, code_of_no_pool, casts, no_such_pool,
        pools_of_calls, pools_of_many_calls, pools_of_preferences, pools_of_no_pool, pools_of_server, without_pools_of,
        oldest_and_newest, environments, ensure_venv_of_other, plain_interpreters, relative_paths, too_old, base_gone
    ].

init_per_suite(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "modules"),
    Inner = filename:join([Dir, "package", "inner.py"]),
    ok = filelib:ensure_dir(Inner),
    Source = <<"
import asyncio, erlang, os
where = os.getpid
def elsewhere():
    return os.getpid()
def here(*args):
    return os.getpid()
def items():
    yield os.getpid()
def tell(pid, what=None):
    erlang.send(pid, ('told', os.getpid(), what))
async def awhere():
    return os.getpid()
async def aitems():
    yield os.getpid()
async def anever():
    yield await asyncio.sleep(3600)
class Thing:
    def where(self):
        return os.getpid()
">>,
    [
        ok = file:write_file(File, Source)
     || File <- [filename:join(Dir, "mine.py"), filename:join(Dir, "yours.py"), filename:join([Dir, "package", "__init__.py"]), Inner]
    ],
    [{dir, Dir} | Config].

end_per_suite(_Config) ->
    ok.

init_per_testcase(Case, Config) ->
    Ours = #{num_workers => 1, paths => [proplists:get_value(dir, Config)]},
    Table =
        case atom_to_list(Case) of
            "pools_of_" ++ _ ->
                [{pools_of, #{
                    mine => mine,
                    {mine, elsewhere} => default,
                    {"yours", <<"elsewhere">>} => yours,
                    <<"package">> => yours,
                    'package.inner' => mine,
                    "gone" => none
                }}];
            _ ->
                []
        end,
    ok = py_test:start([{paths, [proplists:get_value(dir, Config)]}, {pools, #{mine => Ours, yours => Ours}} | Table]),
    Config.

end_per_testcase(_Case, _Config) ->
    case lists:keymember(erlang_python, 1, application:which_applications()) of
        true -> py_test:stop();
        false -> ok
    end.

-define(MINE, #{pool => mine}).

%% Whether a result is the process of a worker of the pool.
in(Pool, {ok, OsPid}) -> ?assertEqual({Pool, [OsPid]}, {Pool, [P || P <- py_test:os_pids(Pool), P =:= OsPid]}).

told(Pool, What) ->
    receive {<<"told">>, OsPid, What} -> in(Pool, {ok, OsPid}) end.

%% covers: option:pool
calls(_) ->
    in(mine, py:call(mine, here, [], #{}, ?MINE)),
    in(mine, py:eval(<<"__import__('os').getpid()">>, #{}, ?MINE)),
    ok = py:exec(<<"import os; kept = os.getpid()">>, ?MINE),
    in(mine, py:eval(<<"kept">>, #{}, ?MINE)),
    {error, {'NameError', _}} = py:eval(<<"kept">>),
    in(mine, py:await(py:spawn_call(mine, here, [], #{}, ?MINE))),
    {ok, [One, Two]} = py:parallel([{mine, here, []}, {mine, here, [1], #{}}], ?MINE),
    [in(mine, Result) || Result <- [One, Two]],
    {ok, Thing} = py:call(mine, 'Thing', [], #{}, ?MINE#{return => ref}),
    in(mine, py:call_method(Thing, where, [])),
    in(mine, py:call_method(Thing, where, [], #{}, ?MINE)),
    ok = py:release(Thing).

%% covers: option:pool, py:stream/5, py:stream_eval/3, py:stream_start/5, py:stream_eval_start/3
streams(_) ->
    {ok, [A]} = py:stream(mine, items, [], #{}, ?MINE),
    {ok, [B]} = py:stream_eval(<<"iter([__import__('os').getpid()])">>, #{}, ?MINE),
    {ok, Called} = py:stream_start(mine, items, [], #{}, ?MINE),
    C = py:stream_next(Called),
    done = py:stream_next(Called),
    {ok, Evaluated} = py:stream_eval_start(<<"iter([__import__('os').getpid()])">>, #{}, ?MINE),
    D = py:stream_next(Evaluated),
    done = py:stream_next(Evaluated),
    [in(mine, Result) || Result <- [{ok, A}, {ok, B}, C, D]].

%% covers: option:pool, py:async_call/5, py:async_gather/2, py:async_stream/5
event_loops(_) ->
    in(mine, py:await(py:async_call(mine, awhere, [], #{}, ?MINE))),
    {ok, Gathered} = py:async_gather([{mine, awhere, []}, {mine, here, []}], ?MINE),
    [in(mine, {ok, OsPid}) || OsPid <- Gathered],
    {ok, [OsPid]} = py:async_stream(mine, aitems, [], #{}, ?MINE),
    in(mine, {ok, OsPid}),
    {error, timeout} = py:async_stream(mine, anever, [], #{}, ?MINE#{timeout => 50}),
    {error, {bad_option, colour}} = py:async_stream(mine, aitems, [], #{}, #{colour => red}).

%% covers: option:pool, py:bind/1
contexts(_) ->
    ok = py_pool:start_pool(spacious, #{num_workers => 1, max_workers => 3}),
    {ok, Context} = py:bind(#{pool => spacious}),
    {ok, OsPid} = py:ctx_call(Context, os, getpid, []),
    in(spacious, {ok, OsPid}),
    in(spacious, py:ctx_eval(Context, <<"__import__('os').getpid()">>)),
    ok = py:unbind(Context),
    ok = py_pool:stop_pool(spacious).

%% covers: option:pool, py:reload/2, py:memory_stats/1
all_workers(Config) ->
    ok = file:write_file(filename:join(proplists:get_value(dir, Config), "changing.py"), "number = 1\n"),
    {ok, 1} = py:eval(<<"__import__('changing').number">>, #{}, ?MINE),
    ok = file:write_file(filename:join(proplists:get_value(dir, Config), "changing.py"), "number = 20\n"),
    ok = py:reload(changing),
    {ok, 1} = py:eval(<<"__import__('changing').number">>, #{}, ?MINE),
    ok = py:reload(changing, ?MINE),
    {ok, 20} = py:eval(<<"__import__('changing').number">>, #{}, ?MINE),
    {ok, #{workers := [#{pool := mine}]}} = py:memory_stats(?MINE),
    {error, {badarg, pool}} = py:reload(changing, #{pool => none}),
    {error, {bad_option, colour}} = py:reload(changing, #{colour => red}).

%% Later workers of the pool have it, and the others have not.
%% covers: py:exec_all/2, option:pool
code_of_a_pool(_) ->
    ok = py:exec_all(<<"setting = 'of the pool'">>, ?MINE),
    ok = py:exec_all(<<"setting = 'common'">>),
    {ok, <<"of the pool">>} = py:eval(<<"setting">>, #{}, ?MINE),
    {error, {'NameError', _}} = py:eval(<<"setting">>, #{}, #{pool => yours}),
    {ok, <<"common">>} = py:eval(<<"setting">>),
    [OsPid] = py_test:os_pids(mine),
    ok = py_test:kill("KILL", OsPid),
    py_test:whole(mine),
    {ok, <<"of the pool">>} = py:eval(<<"setting">>, #{}, ?MINE),
    ok = py_pool:resize(yours, 2),
    [{error, {'NameError', _}} = py:eval(<<"setting">>, #{}, #{pool => yours}) || _ <- lists:seq(1, 4)].

%% What fails is not recorded.
%% covers: py:exec_all/2, error:badarg
code_of_no_pool(_) ->
    {error, {badarg, pool}} = py:exec_all(<<"1">>, #{pool => none}),
    {error, [{_, {'ZeroDivisionError', _}}]} = py:exec_all(<<"half = 1; 1 / 0">>, ?MINE),
    [OsPid] = py_test:os_pids(mine),
    ok = py_test:kill("KILL", OsPid),
    py_test:whole(mine),
    {error, {'NameError', _}} = py:eval(<<"half">>, #{}, ?MINE).

%% covers: py:cast/5, option:pool, option:binary
casts(_) ->
    ok = py:cast(mine, tell, [self()], #{what => <<"text">>}, ?MINE),
    told(mine, <<"text">>),
    ok = py:cast(mine, tell, [self(), {tuple, {bytes, <<"x">>}}], #{}, ?MINE#{tags => false}),
    told(mine, {<<"tuple">>, {<<"bytes">>, <<"x">>}}),
    %% Refused, and logged like all failures of casts.
    ok = py:cast(mine, tell, [self()], #{}, ?MINE#{timeout => 1000}),
    ok = py:cast(mine, tell, [self()], #{}, 1000),
    ok = py:cast(mine, tell, [self()], #{}, #{pool => none}),
    in(mine, py:call(mine, here, [], #{}, ?MINE)),
    [] = py_test:mailbox().

%% covers: option:pool, error:badarg
no_such_pool(_) ->
    O = #{pool => none},
    Refused = {error, {badarg, pool}},
    Refused = py:call(mine, here, [], #{}, O),
    Refused = py:eval(<<"1">>, #{}, O),
    Refused = py:exec(<<"1">>, O),
    Refused = py:parallel([], O),
    Refused = py:stream(mine, items, [], #{}, O),
    Refused = py:stream_start(mine, items, [], #{}, O),
    Refused = py:async_gather([], O),
    Refused = py:async_stream(mine, aitems, [], #{}, O),
    Refused = py:bind(O),
    Refused = py:memory_stats(O),
    Refused = py:await(py:spawn_call(mine, here, [], #{}, O)),
    Refused = py:await(py:async_call(mine, awhere, [], #{}, O)).

%% Each function, under each way of writing a name; a function before its module, a module before its package.
%% covers: config:pools_of
pools_of_calls(_) ->
    [
        begin
            in(mine, py:call(Name, where, [])),
            in(mine, py:call(Name, where, [], #{}, 5000)),
            in(mine, py:await(py:call_async(Name, where, []))),
            in(mine, py:await(py:spawn_call(Name, where, [], #{}, 5000))),
            ok = py:cast(Name, tell, [self(), 1]),
            told(mine, 1),
            {ok, [A]} = py:stream(Name, items, []),
            {ok, Stream} = py:stream_start(Name, items, []),
            B = py:stream_next(Stream),
            done = py:stream_next(Stream),
            in(mine, py:await(py:async_call(Name, awhere, []))),
            {ok, [C]} = py:async_stream(Name, aitems, []),
            [in(mine, Result) || Result <- [{ok, A}, B, {ok, C}]]
        end
     || Name <- [mine, <<"mine">>, "mine"]
    ],
    in(default, py:call(mine, elsewhere, [])),
    in(default, py:call(yours, where, [])),
    in(yours, py:call(<<"yours">>, elsewhere, [])),
    in(yours, py:call(package, where, [])),
    in(mine, py:call('package.inner', where, [])),
    {ok, _} = py:call(importlib, import_module, [<<"package.inner">>], #{}, #{pool => yours}),
    in(yours, py:call(package, 'inner.where', [])),
    in(async, py:await(py:async_call(yours, awhere, []))),
    in(default, py:eval(<<"__import__('mine').where()">>)),
    {error, _} = py:call(<<255, $., 255>>, <<255>>, []),
    {error, {badarg, _}} = py:call(17, where, []),
    {error, {badarg, _}} = py:call(mine, 17, []).

%% Calls that belong together go to their pool, others to where calls go that belong nowhere.
%% covers: config:pools_of, py:parallel/1, py:async_gather/1
pools_of_many_calls(_) ->
    {ok, Together} = py:parallel([{mine, where, []}, {mine, here, [1], #{}}]),
    [in(mine, Result) || Result <- Together],
    {ok, Mixed} = py:parallel([{mine, where, []}, {yours, where, []}]),
    [in(parallel, Result) || Result <- Mixed],
    {ok, [A, A]} = py:async_gather([{mine, awhere, []}, {mine, here, []}]),
    in(mine, {ok, A}),
    {ok, [B, B]} = py:async_gather([{mine, awhere, []}, {yours, awhere, []}]),
    in(async, {ok, B}),
    {ok, []} = py:parallel([]),
    {error, {badarg, calls}} = py:parallel([{mine, where, []} | improper]).

%% An option, a binding, an affinity and objects come first.
%% covers: config:pools_of, option:pool
pools_of_preferences(_) ->
    in(yours, py:call(mine, where, [], #{}, #{pool => yours})),
    ok = py:bind(),
    in(default, py:call(mine, where, [])),
    {ok, Bound} = py:call(os, getpid, []),
    {ok, Bound} = py:call(mine, where, []),
    {ok, Bound} = py:await(py:async_call(mine, awhere, [])),
    ok = py:unbind(),
    ok = py:exec(<<"import os">>),
    {ok, Tied} = py:eval(<<"os.getpid()">>),
    {ok, Tied} = py:call(mine, where, []),
    ok = py:unbind(),
    in(mine, py:call(mine, where, [])),
    {ok, Thing} = py:call(yours, 'Thing', [], #{}, #{return => ref}),
    {ok, Owner} = py:call_method(Thing, where, []),
    in(default, {ok, Owner}),
    {ok, Owner} = py:call(mine, here, [Thing]),
    ok = py:release(Thing).

%% covers: config:pools_of, error:badarg
pools_of_no_pool(_) ->
    {error, {badarg, pool}} = py:call(gone, f, []),
    {error, {badarg, pool}} = py:await(py:async_call(gone, f, [])),
    ok = py_pool:start_pool(none, #{num_workers => 1}),
    {error, {'ModuleNotFoundError', _}} = py:call(gone, f, []),
    ok = py_pool:stop_pool(none),
    [
        {error, {bad_config, _}} = py_config:load([{pools_of, Bad}])
     || Bad <- [mine, #{mine => undefined}, #{mine => "pool"}, #{1 => mine}, #{{mine, 1} => mine}, #{{a, b, c} => mine}, [{<<>>, mine}], [mine]]
    ],
    {ok, _} = py_config:load([{pools_of, [{numpy, ml}, {{"torch", load}, gpu}]}]),
    {error, {bad_config, _}} = py_pool:start_pool(other, #{pools_of => #{mine => mine}}).

%% covers: config:pools_of
pools_of_server(_) ->
    [{_, Server}] = ets:lookup(py_pools, {server, default}),
    exit(Server, kill),
    py_test:until(fun() -> case ets:lookup(py_pools, {server, default}) of [{_, New}] -> New =/= Server; [] -> false end end),
    in(mine, py:call(mine, where, [])),
    ok = py_pool:stop_pool(default),
    {error, not_started} = py:call(mine, where, []),
    ok = py_pool:start_pool(default, #{}),
    in(mine, py:call(mine, where, [])).

%% Nobody looks for a pool where there is nothing to find.
%% covers: config:pools_of
without_pools_of(_) ->
    ?assertEqual(py_pool:native(default), persistent_term:get({py_pool, default})),
    in(default, py:call(mine, where, [])).

%% covers: config:python, config:env, py:execution_info/0, guarantee:versions
oldest_and_newest(_) ->
    {[{_, Old} | _], {_, New}} = {py_test:pythons(), lists:last(py_test:pythons())},
    [ok = py_pool:start_pool(Pool, #{num_workers => 2, python => Python, env => [{"ROLE", atom_to_list(Pool)}]}) || {Pool, Python} <- [{old, Old}, {new, New}]],
    O = fun(Pool) -> #{pool => Pool} end,
    Version = fun(Pool) -> {ok, V} = py:eval(<<"tuple(__import__('sys').version_info[:3])">>, #{}, O(Pool)), V end,
    ct:log("~p and ~p", [Version(old), Version(new)]),
    ?assert(Version(old) =< Version(new)),
    ?assertEqual({Old, New}, {resolved(old), resolved(new)}),
    [{ok, Role} = py:eval(<<"__import__('os').environ['ROLE']">>, #{}, O(Pool)) || {Pool, Role} <- [{old, <<"old">>}, {new, <<"new">>}]],
    %% Values made by one go through the other and come back as they were.
    Make =
        <<"{'list': [1, -2 ** 70, 2.5, None, True, 'täxt', b'\\xff\\x00'], (1, 'key'): {'deep': [[[{}]]]}, 'nan': [float('inf')],"
          " 'large': 'x' * 300000, 'pid': pid, 'class': ''.join(chr(n) for n in range(0x4e00, 0x4f00))}"/utf8>>,
    [
        begin
            {ok, Value} = py:eval(Make, #{pid => self()}, O(From)),
            {ok, [Value]} = py:call(builtins, list, [[back(Value)]], #{}, O(To)),
            {ok, Value} = py:eval(<<"value">>, #{value => back(Value)}, O(From)),
            {ok, true} = py:eval(iolist_to_binary([<<"value == ">>, Make]), #{value => back(Value), pid => self()}, O(To))
        end
     || {From, To} <- [{old, new}, {new, old}]
    ],
    %% Each calls the other, and they run side by side.
    [
        ok = py:register_function(Name, fun([Depth]) ->
            case Depth of
                0 -> 0;
                _ -> {ok, N} = py:eval(<<"1 + getattr(erlang, name)(depth)">>, #{name => Next, depth => Depth - 1}, O(Pool)), N
            end
        end)
     || {Name, Pool, Next} <- [{ask_old, old, ask_new}, {ask_new, new, ask_old}]
    ],
    {ok, 10} = py:eval(<<"erlang.ask_new(10)">>, #{}, O(old)),
    Refs = [{Pool, py:async_call(asyncio, sleep, [0.05, atom_to_binary(Pool)], #{}, O(Pool))} || _ <- lists:seq(1, 20), Pool <- [old, new]],
    [{ok, Result} = py:await(Ref) || {Pool, Ref} <- Refs, Result <- [atom_to_binary(Pool)]],
    {ok, [{ok, 3}, {ok, 3}]} = py:parallel([{builtins, len, [[1, 2, 3]]}, {builtins, len, [<<"abc">>]}], O(old)),
    {ok, [0, 1, 2]} = py:stream_eval(<<"(n for n in range(3))">>, #{}, O(old)),
    {ok, Context} = py:bind(#{pool => old}),
    {ok, <<"old">>} = py:ctx_eval(Context, <<"__import__('os').environ['ROLE']">>),
    ok = py:unbind(Context),
    %% An object of one is none of the other's.
    {ok, Object} = py:call(builtins, object, [], #{}, #{pool => old, return => ref}),
    {error, {badarg, {handle_of_other_worker, _}}} = py:call(builtins, id, [Object], #{}, O(new)),
    ok = py:release(Object),
    #{pools := #{old := #{executable := Old1}, new := #{executable := New1}}} = py:execution_info(),
    ?assertEqual(Old =:= New, Old1 =:= New1),
    [ok = py:unregister_function(Name) || Name <- [ask_old, ask_new]].

%% What a binary of Python's `bytes' and its float became, as arguments that mean the same.
back(infinity) -> {float, infinity};
back(<<255, 0>>) -> {bytes, <<255, 0>>};
back(List) when is_list(List) -> [back(E) || E <- List];
back(Map) when is_map(Map) -> maps:map(fun(_, V) -> back(V) end, Map);
back(Other) -> Other.

resolved(Pool) ->
    {ok, Path} = py:eval(<<"__import__('os').path.realpath(__import__('sys').executable)">>, #{}, #{pool => Pool}),
    unicode:characters_to_list(Path).

%% Pools with environments of their own, of every version: the same name is something else in each.
%% covers: config:venv
environments(Config) ->
    Pools = [
        begin
            Dir = venv(Config, "environment", Python, []),
            [Packages] = filelib:wildcard(filename:join([Dir, "lib", "python3*", "site-packages"])),
            ok = file:write_file(filename:join(Packages, "which.py"), ["name = '", Version, "'\n"]),
            Pool = list_to_atom("python" ++ Version),
            ok = py_pool:start_pool(Pool, #{num_workers => 1, venv => Dir, python => interpreter_of(Dir)}),
            {Pool, list_to_binary(Version)}
        end
     || {Version, Python} <- py_test:pythons()
    ],
    [{ok, Version} = py:eval(<<"__import__('which').name">>, #{}, #{pool => Pool}) || {Pool, Version} <- Pools],
    [{ok, true} = py:eval(<<"__import__('platform').python_version() == version">>, #{version => V}, #{pool => P}) || {P, V} <- Pools],
    [ok = py_pool:stop_pool(Pool) || {Pool, _} <- Pools],
    ok.

venv(Config, Name, Python, Options) ->
    Dir = filename:join([proplists:get_value(priv_dir, Config), Name ++ "-" ++ filename:basename(filename:dirname(filename:dirname(Python)))]),
    "" = os:cmd(lists:flatten(lists:join(" ", [Python, "-m", "venv", "--without-pip"] ++ Options ++ [Dir]))),
    Dir.

%% covers: py:ensure_venv/3, config:venv
ensure_venv_of_other(Config) ->
    [
        begin
            Dir = filename:join(proplists:get_value(priv_dir, Config), "ensured-" ++ Version),
            ok = py:ensure_venv(Dir, [], #{python => Python}),
            ok = py:ensure_venv(Dir, [], #{python => list_to_binary(Python)}),
            {ok, #{active := Active} = Info} = py:venv_info(),
            ?assert(not Active orelse maps:get(venv_path, Info) =/= list_to_binary(Dir)),
            ok = py_pool:start_pool(ensured, #{num_workers => 1, python => Dir}),
            {ok, {V, Prefix}} = py:eval(<<"(__import__('platform').python_version(), __import__('sys').prefix)">>, #{}, #{pool => ensured}),
            ?assertEqual({Version, Dir}, {binary_to_list(V), binary_to_list(Prefix)}),
            ok = py_pool:stop_pool(ensured)
        end
     || {Version, Python} <- lists:usort([hd(py_test:pythons()), lists:last(py_test:pythons())])
    ],
    Nowhere = filename:join(proplists:get_value(priv_dir, Config), "nowhere"),
    {error, {no_python, _}} = py:ensure_venv(Nowhere, [], #{python => "/no/such/python"}),
    {error, {bad_option, python}} = py:ensure_venv(Nowhere, [], #{python => 3}),
    false = filelib:is_file(Nowhere).

%% Interpreters of every version, and their virtual environments, linked and copied, are what they are under `python'.
%% covers: config:python, guarantee:versions
plain_interpreters(Config) ->
    Look =
        "__import__('json').dumps((lambda sys, site: [sys.executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.version,"
        " site.getsitepackages(), site.ENABLE_USER_SITE, site.PREFIXES, sorted(m for m in ('site', 'encodings', 'sitecustomize') if m in sys.modules),"
        " [p for p in sys.path if p and not p.endswith('/priv/python')]])(__import__('sys'), __import__('site')))",
    [
        begin
            ok = py_pool:start_pool(plain, #{num_workers => 1, python => Path, paths => []}),
            {ok, Worker} = py:eval(Look, #{}, #{pool => plain}),
            ok = py_pool:stop_pool(plain),
            Plain = os:cmd(lists:flatten(io_lib:format("~ts -c \"print(~ts)\"", [Path, Look]))),
            ?assertEqual(string:trim(unicode:characters_to_binary(Plain)), Worker)
        end
     || {_, Python} <- py_test:pythons(),
        Path <- [Python, interpreter_of(venv(Config, "linked", Python, [])), interpreter_of(venv(Config, "copied", Python, ["--copies"]))]
    ],
    ok.

interpreter_of(Dir) ->
    filename:join([Dir, "bin", "python"]).

%% covers: config:python
relative_paths(Config) ->
    [{_, Python} | _] = py_test:pythons(),
    Dir = venv(Config, "relative", Python, []),
    {ok, Before} = file:get_cwd(),
    ok = file:set_cwd(filename:dirname(Dir)),
    Name = filename:basename(Dir),
    [
        begin
            ok = py_pool:start_pool(relative, #{num_workers => 1, python => Path}),
            {ok, Prefix} = py:eval(<<"__import__('sys').prefix">>, #{}, #{pool => relative}),
            ?assertEqual(Dir, unicode:characters_to_list(Prefix)),
            ok = py_pool:stop_pool(relative)
        end
     || Path <- [Name, filename:join([Name, "bin", "python"]), list_to_binary(filename:join([".", Name, "bin", "python"]))]
    ],
    ok = file:set_cwd(Before).

%% Interpreters of the machine that are too old say so, as far back as there are any.
%% covers: config:python, guarantee:versions
too_old(_) ->
    Versions = filename:join(os:getenv("HOME", "/"), ".pyenv/versions"),
    case [Python || Python <- filelib:wildcard(filename:join(Versions, "{2.*,3.[0-8].*}/bin/python"))] of
        [] ->
            {skip, "no Python older than 3.9 under pyenv"};
        Old ->
            [
                begin
                    {error, {no_python, Reason}} = py_pool:start_pool(old, #{num_workers => 1, python => Python}),
                    [?assertNotEqual({Word, Reason, nomatch}, {Word, Reason, string:find(Reason, Word)}) || Word <- [Python, "3.9 or later is needed"]]
                end
             || Python <- Old
            ],
            ok
    end.

%% A virtual environment whose Python was removed says so, whether its interpreter was linked or copied.
%% covers: config:python, config:venv
base_gone(Config) ->
    Gone = filename:join(proplists:get_value(priv_dir, Config), "gone"),
    [{_, Python} | _] = py_test:pythons(),
    [
        begin
            Dir = venv(Config, Kind, Python, Options),
            Cfg = filename:join(Dir, "pyvenv.cfg"),
            {ok, Text} = file:read_file(Cfg),
            ok = file:write_file(Cfg, re:replace(Text, "^home = .*$", "home = " ++ Gone, [multiline])),
            ok = file:delete(interpreter_of(Dir)),
            ok = interpreter_gone(Kind, interpreter_of(Dir), Gone),
            [
                begin
                    {error, {no_python, Reason}} = py_pool:start_pool(broken, maps:merge(#{num_workers => 1}, Where)),
                    ct:log("~ts", [Reason]),
                    [?assertNotEqual({Word, Reason, nomatch}, {Word, Reason, string:find(Reason, Word)}) || Word <- [Dir, Gone, "is gone", "venv"]]
                end
             || Where <- [#{python => Dir}, #{python => interpreter_of(Dir)}]
            ]
        end
     || {Kind, Options} <- [{"unlinked", []}, {"uncopied", ["--copies"]}]
    ],
    ok.

interpreter_gone("unlinked", Path, Gone) ->
    file:make_symlink(filename:join(Gone, "python"), Path);
%% A copy finds no standard library; one that was built for its place would.
interpreter_gone("uncopied", Path, _Gone) ->
    ok = file:write_file(Path, "#!/bin/sh\necho \"Fatal Python error: init_fs_encoding\" >&2\nexit 1\n"),
    file:change_mode(Path, 8#755).
