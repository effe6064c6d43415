%% Bindings: a worker of one's own, and nothing of it left for the next.
-module(py_context_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(MAX, 4).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        bind, bind_again, contexts, contexts_elsewhere, functions, bad_arguments, with_context, with_context_in_bound, fresh, pool_option,
        pool_of_one, interrupt, streams, streams_keep_workers, clean_namespace, surroundings, cycles, handles, handles_stay, foreign_handles, owner_dies, owner_dies_in_call, unbind_cancels, casts_end,
        stuck, growth, waits_for_release, unbound_stay_out, affinity, callbacks_inherit, worker_dies, context_worker_dies,
        event_loop, async_pool, exec_all_while_bound, many_owners, resize, server_restarts, stop_with_bindings
    ].

init_per_suite(Config) ->
    ok = start(),
    Config.

start() ->
    ok = py_test:start([{max_workers, ?MAX}]),
    py_test:define(<<"common = 1">>).

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    py_test:whole(default),
    Config.

end_per_testcase(_Case, _Config) ->
    ok = py:unbind(),
    none_bound(),
    py_test:settled(),
    ok = py_pool:resize(default, 2),
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 2 end).

none_bound() ->
    py_test:until(fun() -> ets:tab2list(py_contexts) =:= [] end),
    ?assertMatch(#{checked_out := 0}, py_pool:get_stats()).

os_pid() ->
    {ok, Pid} = py:call(os, getpid, []),
    Pid.

os_pid(Context) ->
    {ok, Pid} = py:ctx_call(Context, os, getpid, []),
    Pid.

%% Runs a function in a process of its own.
elsewhere(Fun) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> Self ! {self(), Fun()} end),
    receive
        {Pid, Result} -> receive {'DOWN', Monitor, _, _, _} -> Result end;
        {'DOWN', Monitor, _, _, Reason} -> exit(Reason)
    end.

%% Starts a process that does something and then waits to be killed.
holder(Fun) ->
    Self = self(),
    Pid = spawn(fun() -> Self ! {self(), Fun()}, receive after infinity -> ok end end),
    receive {Pid, Result} -> {Pid, Result} end.

%% covers: py:bind/0, py:unbind/0, py:is_bound/0
bind(_) ->
    ?assertNot(py:is_bound()),
    ok = py:bind(),
    ?assert(py:is_bound()),
    Pid = os_pid(),
    ?assertMatch(#{checked_out := 1, num_workers := 2}, py_pool:get_stats()),
    ok = py:exec(<<"x = 1">>),
    ?assertEqual([{ok, {Pid, N}} || N <- lists:seq(2, 51)], [
        begin ok = py:exec(<<"x += 1">>), py:eval(<<"(__import__('os').getpid(), x)">>) end || _ <- lists:seq(1, 50)
    ]),
    {ok, 51} = py:await(py:call_async('__main__', '__dict__.get', [x])),
    [?assertNotEqual(Pid, elsewhere(fun os_pid/0)) || _ <- lists:seq(1, 20)],
    ok = py:unbind(),
    ?assertNot(py:is_bound()).

%% covers: py:bind/0, py:unbind/0
bind_again(_) ->
    ok = py:unbind(),
    ok = py:bind(),
    Pid = os_pid(),
    ok = py:bind(),
    Pid = os_pid(),
    ?assertMatch(#{checked_out := 1}, py_pool:get_stats()),
    ok = py:unbind(),
    ok = py:unbind(),
    none_bound().

%% covers: py:bind/1, py:unbind/1
contexts(_) ->
    {ok, A} = py:bind(new),
    {ok, B} = py:bind(new),
    ?assertNot(py:is_bound()),
    ok = py:ctx_exec(A, <<"who = 'a'">>),
    ok = py:ctx_exec(B, <<"who = 'b'">>),
    ?assertNotEqual(os_pid(A), os_pid(B)),
    {ok, <<"a">>} = py:ctx_eval(A, <<"who">>),
    {ok, <<"b">>} = py:ctx_eval(B, <<"who">>),
    {error, {'NameError', _}} = py:eval(<<"who">>),
    ok = py:unbind(A),
    ?assertError(context_not_bound, py:ctx_eval(A, <<"who">>)),
    {ok, <<"b">>} = py:ctx_eval(B, <<"who">>),
    ok = py:unbind(B),
    ok = py:unbind(B),
    ?assertError(context_not_bound, py:ctx_call(B, math, sqrt, [4])),
    ?assertError(context_not_bound, py:ctx_exec(B, <<"pass">>)).

%% covers: py:bind/1, py:ctx_eval/3, py:unbind/1
contexts_elsewhere(_) ->
    {ok, Context} = py:bind(new),
    ok = elsewhere(fun() -> py:ctx_exec(Context, <<"x = 41">>) end),
    {ok, 42} = elsewhere(fun() -> py:ctx_eval(Context, <<"x + y">>, #{y => 1}) end),
    {ok, 41} = py:ctx_eval(Context, <<"x">>),
    ok = elsewhere(fun() -> py:unbind(Context) end),
    ?assertError(context_not_bound, py:ctx_eval(Context, <<"x">>)).

%% covers: py:ctx_call/4, py:ctx_call/5, py:ctx_call/6, py:ctx_eval/2, py:ctx_eval/3, py:ctx_eval/4, py:ctx_exec/2, py:ctx_exec/3
functions(_) ->
    {ok, C} = py:bind(new),
    {ok, 2.0} = py:ctx_call(C, math, sqrt, [4]),
    {ok, 5} = py:ctx_call(C, builtins, int, [<<"101">>], #{base => 2}),
    {error, timeout} = py:ctx_call(C, time, sleep, [3600], #{}, 50),
    {ok, nil} = py:ctx_call(C, time, sleep, [0], #{}, #{none => nil}),
    {ok, 1} = py:ctx_eval(C, <<"common">>),
    {ok, 3} = py:ctx_eval(C, <<"x + 1">>, #{x => 2}),
    {error, #{type := 'ZeroDivisionError'}} = py:ctx_eval(C, <<"1 / x">>, #{x => 0}, #{error => map}),
    ok = py:ctx_exec(C, <<"y = 1">>),
    {error, timeout} = py:ctx_exec(C, <<"import time; time.sleep(3600)">>, 50),
    {ok, 1} = py:ctx_eval(C, <<"y">>),
    ok = py:unbind(C).

bad_arguments(_) ->
    {error, {badarg, options}} = py:bind(old),
    {error, {bad_option, colour}} = py:bind(#{colour => red}),
    {error, {bad_option, fresh}} = py:bind(#{fresh => 1}),
    {error, {badarg, pool}} = py:bind(#{pool => no_such_pool}),
    {error, {badarg, context}} = py:unbind(make_ref()),
    {error, {badarg, context}} = py:ctx_call(self(), math, sqrt, [4]),
    {ok, C} = py:bind(new),
    {error, {bad_option, pool}} = py:ctx_call(C, math, sqrt, [4], #{}, #{pool => default}),
    {error, {badarg, _}} = py:ctx_call(C, math, sqrt, 4),
    ok = py:unbind(C).

%% covers: py:with_context/1
with_context(_) ->
    Unbound = elsewhere(fun os_pid/0),
    Pid = py:with_context(fun() ->
        true = py:is_bound(),
        ok = py:exec(<<"inside = 1">>),
        {ok, 1} = py:eval(<<"inside">>),
        os_pid()
    end),
    ?assertNot(py:is_bound()),
    2.0 = py:with_context(fun(C) ->
        false = py:is_bound(),
        {ok, Root} = py:ctx_call(C, math, sqrt, [4]),
        Root
    end),
    ?assertThrow(ball, py:with_context(fun() -> throw(ball) end)),
    ?assertExit(gone, py:with_context(fun(_) -> exit(gone) end)),
    ?assertNot(py:is_bound()),
    none_bound(),
    ?assert(is_integer(Unbound) andalso is_integer(Pid)).

%% The binding before holds again.
%% covers: py:with_context/1
with_context_in_bound(_) ->
    ok = py:bind(),
    ok = py:exec(<<"x = 'outer'">>),
    Outer = os_pid(),
    py:with_context(fun() ->
        {error, {'NameError', _}} = py:eval(<<"x">>),
        ?assertNotEqual(Outer, os_pid()),
        ok = py:unbind(),
        ?assertNot(py:is_bound())
    end),
    Outer = os_pid(),
    {ok, <<"outer">>} = py:eval(<<"x">>),
    ?assertError(bad, py:with_context(fun() -> error(bad) end)),
    {ok, <<"outer">>} = py:eval(<<"x">>).

%% covers: py:bind/1
fresh(_) ->
    Before = py_test:os_pids(default),
    Made = [
        begin
            {ok, C} = py:bind(#{fresh => true}),
            {ok, 0} = py:ctx_eval(C, <<"'fresh_mark' in __import__('sys').modules and 1 or 0">>),
            ok = py:ctx_exec(C, <<"import sys\nsys.modules['fresh_mark'] = sys">>),
            Pid = os_pid(C),
            ok = py:unbind(C),
            Pid
        end
     || _ <- lists:seq(1, 2 * ?MAX)
    ],
    ?assertEqual(2 * ?MAX, length(lists:usort(Made))),
    ?assertEqual([], [P || P <- Made, lists:member(P, Before)]).

%% covers: py:bind/1
pool_option(_) ->
    ok = py_pool:start_pool(contexts, #{num_workers => 1, max_workers => 2, preload => <<"mine = 1">>}),
    {ok, C} = py:bind(#{pool => contexts}),
    {ok, 1} = py:ctx_eval(C, <<"mine">>),
    {error, no_workers_available} = py:bind(#{pool => contexts}),
    {ok, 1} = py:eval(<<"mine">>, #{}, #{pool => contexts}),
    [true] = [Bound || #{pool := contexts, bound := Bound, os_pid := Pid} <- py:workers(), Pid =:= os_pid(C)],
    ok = py_pool:stop_pool(contexts),
    {error, {worker_down, _}} = py:ctx_eval(C, <<"mine">>),
    ?assertError(context_not_bound, py:ctx_eval(C, <<"mine">>)).

%% covers: py:interrupt/1
interrupt(_) ->
    {ok, C} = py:bind(new),
    not_running = py:interrupt(C),
    Self = self(),
    Pid = spawn_link(fun() -> Self ! {self(), py:ctx_call(C, time, sleep, [3600])} end),
    py_test:until(fun() -> py:interrupt(C) =:= ok end),
    receive {Pid, Result} -> ?assertEqual({error, interrupted}, Result) end,
    ok = py:unbind(C).

%% A pool that cannot grow keeps its only worker.
%% covers: py:bind/1, error:no_workers_available
pool_of_one(_) ->
    ok = py_pool:start_pool(contexts, #{num_workers => 1, max_workers => 1}),
    Pids = py_test:os_pids(contexts),
    {error, no_workers_available} = py:bind(#{pool => contexts}),
    {error, no_workers_available} = py:bind(#{pool => contexts, fresh => true}),
    Pids = py_test:os_pids(contexts),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => contexts}),
    ok = py_pool:stop_pool(contexts).

%% What unbound processes and earlier owners define is not there, what preload and exec_all define is, in place.
%% covers: py:bind/0, py:unbind/0
clean_namespace(_) ->
    ok = elsewhere(fun() -> py:exec(<<"stray = 1">>) end),
    [
        begin
            ok = py:bind(),
            {ok, [<<"common">>, <<"erlang">>]} = py:eval(<<"sorted(n for n in globals() if not n.startswith('__'))">>),
            {ok, Id} = py:eval(<<"id(globals())">>),
            ok = py:exec(<<"common = 2\nown = [1]\ndef f(): return common\nimport sys as s\ndel erlang, __doc__\n">>),
            {ok, 2} = py:call('__main__', f, []),
            ok = py:unbind(),
            Id
        end
     || _ <- lists:seq(1, 5)
    ],
    {ok, 1} = py:eval(<<"common">>).

surroundings(_) ->
    Seen = fun() ->
        py:eval(<<"[os.environ.get('PY_CONTEXT_TEST'), 'HOME' in os.environ, os.getenv('PY_CONTEXT_TEST'), os.getcwd(), sys.path, log.level]">>,
            [{M, module(M)} || M <- [os, sys]] ++ [{log, root_logger()}])
    end,
    ok = py:bind(),
    Pid = os_pid(),
    {ok, Before} = Seen(),
    ok = py:exec(<<"
        import logging, os, sys
        os.environ['PY_CONTEXT_TEST'] = '1'
        del os.environ['HOME']
        os.chdir('/')
        sys.path.insert(0, '/nowhere')
        sys.path = sys.path + ['/nowhere/else']
        logging.getLogger().setLevel(logging.DEBUG)
        os.environ = dict(os.environ)
    ">>),
    {ok, Changed} = Seen(),
    ?assertNotEqual(Before, Changed),
    ok = py:unbind(),
    again(Pid, fun() -> {ok, Before} = Seen() end).

module(Name) ->
    {ok, Ref} = py:call(importlib, import_module, [Name], #{}, #{return => ref}),
    Ref.

root_logger() ->
    {ok, Ref} = py:call(logging, getLogger, [], #{}, #{return => ref}),
    Ref.

%% Runs a function bound to the worker with this process.
again(Pid, Fun) ->
    py_test:until(fun() ->
        py:with_context(fun() ->
            case os_pid() of
                Pid -> Fun(), true;
                _ -> false
            end
        end)
    end).

%% covers: py:bind/0, py:unbind/0
cycles(_) ->
    Workers = py_test:os_pids(default),
    [
        begin
            ok = py:bind(),
            {error, {'NameError', _}} = py:eval(<<"leftover">>),
            ok = py:exec(<<"leftover = 1">>),
            ok = py:unbind()
        end
     || _ <- lists:seq(1, 200)
    ],
    none_bound(),
    %% A worker that is on its way back is waited for.
    Workers = py_test:os_pids(default).

%% Handles end with the binding, and do not keep its worker from being bound again.
handles(_) ->
    {ok, C} = py:bind(new),
    {ok, Ref} = py:ctx_call(C, builtins, list, [[1]], #{}, #{return => ref}),
    {ok, [1]} = py:ctx_call(C, builtins, list, [Ref]),
    %% A handle leads its holder to the worker.
    {ok, [1]} = elsewhere(fun() -> py:to_term(Ref) end),
    ok = py:unbind(C),
    none_bound(),
    {error, {badarg, {released_handle, _}}} = py:to_term(Ref),
    ?assert(py:is_ref(Ref)),
    py_test:until(fun() -> lists:all(fun(#{handles := N}) -> N =:= 0 end, py:workers()) end),
    ok = py:release(Ref),
    ?assert(lists:all(fun(#{handles := N}) -> N =:= 0 end, py:workers())).

%% What a request leaves in a worker that was claimed while it ran stays: the binding waits.
handles_stay(_) ->
    ok = py:exec_all(<<"
        def late_list():
            import time
            time.sleep(0.3)
            return [1, 2]
    ">>),
    ok = py_pool:resize(default, ?MAX),
    Refs = [py:spawn_call('__main__', late_list, [], #{}, #{return => ref}) || _ <- lists:seq(1, ?MAX)],
    py_test:until(fun() -> lists:all(fun(#{in_flight := N}) -> N =:= 1 end, [W || #{pool := default} = W <- py:workers()]) end),
    %% A worker with something to do is claimed, since there may be no more of them.
    Self = self(),
    Binder = spawn_link(fun() ->
        {ok, Context} = py:bind(new),
        Self ! {bound, self()},
        receive unbind -> ok = py:unbind(Context) end
    end),
    Lists = [element(2, py:await(Ref)) || Ref <- Refs],
    ?assertEqual(lists:duplicate(?MAX, {ok, [1, 2]}), [py:to_term(List) || List <- Lists]),
    _ = [ok = py:release(List) || List <- Lists],
    receive {bound, Binder} -> Binder ! unbind end.

%% A worker that keeps objects for others is not bound; a binding takes no other worker's handles.
foreign_handles(_) ->
    {ok, Ref} = py:call(builtins, list, [[1]], #{}, #{return => ref}),
    {ok, Home} = py:call_method(Ref, '__len__', []),
    1 = Home,
    ok = py:bind(),
    {error, {badarg, {handle_of_other_worker, _}}} = py:call(builtins, len, [Ref]),
    {error, {badarg, {handle_of_other_worker, _}}} = py:to_term(Ref),
    ok = py:unbind(),
    {ok, [1]} = py:to_term(Ref),
    ok = py:release(Ref).

owner_dies(_) ->
    {Owner, {ok, C}} = holder(fun() -> ok = py:bind(), ok = py:exec(<<"x = 1">>), py:bind(new) end),
    ok = py:ctx_exec(C, <<"y = 1">>),
    ?assertMatch(#{checked_out := 2}, py_pool:get_stats()),
    exit(Owner, kill),
    none_bound(),
    ?assertError(context_not_bound, py:ctx_exec(C, <<"y = 1">>)),
    {ok, 1} = elsewhere(fun() -> ok = py:bind(), {error, {'NameError', _}} = py:eval(<<"x">>), py:eval(<<"common">>) end),
    none_bound().

owner_dies_in_call(_) ->
    {Owner, Pid} = holder(fun() -> ok = py:bind(), Pid = os_pid(), _ = py:call_async(time, sleep, [3600]), Pid end),
    Caller = spawn(fun() -> py:with_context(fun() -> py:call(time, sleep, [3600], #{}, infinity) end) end),
    py_test:until(fun() -> length([1 || #{in_flight := 1} <- py:workers()]) =:= 2 end),
    exit(Owner, kill),
    exit(Caller, kill),
    none_bound(),
    %% The sleep was interrupted, not its worker.
    ?assert(lists:member(Pid, py_test:os_pids(default))).

%% Others that wait for the worker learn of the end.
%% covers: py:unbind/1, py:unbind/0, error:cancelled
unbind_cancels(_) ->
    {ok, C} = py:bind(new),
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {self(), py:ctx_call(C, time, sleep, [3600])} end) || _ <- lists:seq(1, 5)],
    py_test:until(fun() -> lists:member(5, [N || #{in_flight := N} <- py:workers()]) end),
    ok = py:unbind(C),
    [receive {Pid, Result} -> ?assertEqual({error, cancelled}, Result) end || Pid <- Pids],
    none_bound(),
    ok = py:bind(),
    Ref = py:call_async(time, sleep, [3600]),
    Queued = py:call_async(math, sqrt, [4]),
    ok = py:unbind(),
    {error, cancelled} = py:await(Ref),
    {error, cancelled} = py:await(Queued).

%% A cast outlives its caller, and the worker is given back when it has ended.
casts_end(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "cast"),
    Write = <<"(__import__('time').sleep(0.2), open(name, 'w').close())">>,
    elsewhere(fun() -> ok = py:bind(), ok = py:cast(builtins, eval, [Write, #{name => list_to_binary(File)}]) end),
    none_bound(),
    ?assert(filelib:is_file(File)).

%% A worker that does not let itself be interrupted is replaced.
stuck(_) ->
    Self = self(),
    Code = <<"import time\nwhile True:\n    try:\n        erlang.state_set('stuck', True)\n        time.sleep(3600)\n    except BaseException:\n        pass">>,
    Stubborn = spawn(fun() ->
        ok = py:bind(),
        Self ! {self(), os_pid()},
        py:exec(Code, infinity)
    end),
    Pid = receive {Stubborn, OsPid} -> OsPid end,
    py_test:until(fun() -> py:state_fetch(<<"stuck">>) =:= {ok, true} end),
    exit(Stubborn, kill),
    none_bound(),
    py_test:whole(default),
    ok = py:state_remove(<<"stuck">>),
    ?assertNot(py_test:alive(Pid)).

%% covers: py:bind/1, error:no_workers_available
growth(_) ->
    Contexts = [begin {ok, C} = py:bind(new), C end || _ <- lists:seq(1, ?MAX - 1)],
    ?assertMatch(#{num_workers := ?MAX, checked_out := ?MAX - 1, available_workers := 1}, py_pool:get_stats()),
    {error, no_workers_available} = py:bind(new),
    {error, no_workers_available} = py:bind(),
    {error, no_workers_available} = py:bind(#{fresh => true}),
    {error, no_workers_available} = py:with_context(fun() -> ok end),
    ?assertNot(py:is_bound()),
    ?assertEqual(?MAX - 1, length(lists:usort([os_pid(C) || C <- Contexts]))),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ok = py:unbind(hd(Contexts)),
    ok = py:bind(),
    [ok = py:unbind(C) || C <- tl(Contexts)],
    ok = py:unbind(),
    none_bound(),
    %% Who was started for bindings stays for the next.
    ?assertMatch(#{num_workers := ?MAX, available_workers := ?MAX}, py_pool:get_stats()).

%% At the limit a worker that is still busy with what was cancelled is waited for.
waits_for_release(_) ->
    Contexts = [begin {ok, C} = py:bind(new), C end || _ <- lists:seq(1, ?MAX - 1)],
    [_ = py:cast(time, sleep, [1]) || _ <- [1]],
    Refs = [spawn(fun() -> py:ctx_call(C, time, sleep, [3600]) end) || C <- Contexts],
    py_test:until(fun() -> length([1 || #{in_flight := N} <- py:workers(), N > 0]) >= length(Refs) end),
    [ok = py:unbind(C) || C <- Contexts],
    Again = [begin {ok, C} = py:bind(new), C end || _ <- lists:seq(1, ?MAX - 1)],
    {error, no_workers_available} = py:bind(new),
    [ok = py:unbind(C) || C <- Again].

%% Callers without a binding never run in a bound worker, under load, waiting for room, or after a worker's death.
unbound_stay_out(_) ->
    ok = py:bind(),
    Mine = os_pid(),
    [Other] = py_test:os_pids(default) -- [Mine],
    Load = fun(N) -> [py:spawn_call(os, getpid, [], #{}, #{pool => default}) || _ <- lists:seq(1, N)] end,
    Refs = Load(5000),
    Code = <<"import erlang, time; erlang.send(me, 'stuck'); time.sleep(3600)">>,
    Stuck = py:spawn_call(builtins, exec, [Code, #{<<"me">> => self()}], #{}, #{pool => default}),
    %% What has not started when the worker dies goes on in another one.
    receive <<"stuck">> -> ok end,
    Parked = Load(50),
    ok = py_test:kill("KILL", Other),
    Pids = lists:usort([Pid || Ref <- Refs ++ Parked, {ok, Pid} <- [py:await(Ref)]]),
    {error, {worker_down, _}} = py:await(Stuck),
    ?assertNot(lists:member(Mine, Pids)),
    ?assert(lists:member(hd(py_test:os_pids(default) -- [Mine]), Pids)),
    Mine = os_pid().

%% Bindings leave workers alone to which processes are tied, have priority over a tie, and end together with it.
%% covers: py:exec/1, py:unbind/0
affinity(_) ->
    {Tied, Pid} = holder(fun() -> ok = py:exec(<<"x = 1">>), os_pid() end),
    ok = py:exec(<<"x = 2">>),
    ?assertNot(py:is_bound()),
    py:with_context(fun() ->
        {error, {'NameError', _}} = py:eval(<<"x">>),
        ?assertNotEqual(Pid, os_pid())
    end),
    {ok, 2} = py:eval(<<"x">>),
    ok = py:bind(),
    {error, {'NameError', _}} = py:eval(<<"x">>),
    ok = py:unbind(),
    exit(Tied, kill).

%% covers: py:bind/0, py:register_function/2
callbacks_inherit(_) ->
    ok = py:register_function(who, fun([]) -> {py:is_bound(), os_pid()} end),
    ok = py:bind(),
    Pid = os_pid(),
    {ok, {true, Pid}} = py:call(erlang, call, [who]),
    {ok, C} = py:bind(new),
    Other = os_pid(C),
    {ok, {true, Other}} = py:ctx_call(C, erlang, call, [who]),
    ok = py:unbind(C),
    ok = py:unbind(),
    {ok, {false, _}} = py:call(erlang, call, [who]),
    ok = py:unregister_function(who).

%% covers: py:bind/0, error:worker_down
worker_dies(_) ->
    ok = py:bind(),
    Pid = os_pid(),
    ok = py_test:kill("KILL", Pid),
    py_test:until(fun() -> not py_test:alive(Pid) end),
    {error, {worker_down, _}} = py:eval(<<"1">>),
    ?assertNot(py:is_bound()),
    {ok, 1} = py:eval(<<"1">>),
    none_bound(),
    ok = py:bind(),
    {error, {worker_down, _}} = py:call(os, '_exit', [1]),
    {ok, 1} = py:eval(<<"1">>),
    ok = py:bind(),
    ok = py_test:kill("KILL", os_pid()),
    py_test:until(fun() -> not py_nif:alive(py_route:bound()) end),
    %% Bound anew.
    ok = py:bind(),
    {ok, 1} = py:eval(<<"1">>),
    ok = py:unbind(),
    none_bound(),
    py_test:whole(default).

%% covers: py:ctx_call/4, error:worker_down
context_worker_dies(_) ->
    {ok, C} = py:bind(new),
    {error, {worker_down, _}} = py:ctx_call(C, os, '_exit', [1]),
    ?assertError(context_not_bound, py:ctx_eval(C, <<"1">>)),
    {ok, D} = py:bind(new),
    Pid = os_pid(D),
    ok = py_test:kill("KILL", Pid),
    py_test:until(fun() -> not py_nif:alive(D) end),
    {error, {worker_down, _}} = elsewhere(fun() -> py:ctx_eval(D, <<"1">>) end),
    ?assertError(context_not_bound, py:ctx_eval(D, <<"1">>)),
    none_bound(),
    py_test:whole(default).

%% Coroutines of a bound process run in its worker and end with the binding.
%% covers: py:ctx_async_call/4, py:ctx_async_call/5
event_loop(_) ->
    Code = <<"import asyncio, os\nasync def where(*args, **kwargs):\n    await asyncio.sleep(0)\n    return os.getpid()">>,
    ok = py:bind(),
    Pid = os_pid(),
    ok = py:exec(Code),
    {ok, Pid} = py:await(py:async_call('__main__', where, [])),
    {ok, [Pid, Pid]} = py:async_gather([{'__main__', where, []}, {'__main__', where, []}]),
    Refs = [py:async_call(asyncio, sleep, [3600]) || _ <- lists:seq(1, 10)],
    ok = py:unbind(),
    [?assertEqual({error, cancelled}, py:await(Ref)) || Ref <- Refs],
    none_bound(),
    {ok, C} = py:bind(new),
    ok = py:ctx_exec(C, Code),
    Own = os_pid(C),
    {ok, Own} = py:await(py:ctx_async_call(C, '__main__', where, [])),
    {ok, Own} = py:await(py:ctx_async_call(C, '__main__', where, [1], #{x => 2})),
    ok = py:unbind(C),
    ?assertError(context_not_bound, py:ctx_async_call(C, '__main__', where, [])),
    ?assert(py_test:alive(Pid)).

%% A stream ends with the binding, whether it runs or waits for its consumer.
%% covers: py:unbind/0, py:stream_start/3
streams(_) ->
    %% On a busy machine a second interruption, 100 ms after the first, may hit the `finally'.
    Code = <<"
def items():
    n = 0
    try:
        while True:
            yield n
            n += 1
    finally:
        while True:
            try:
                erlang.state_set('finally', True)
                break
            except erlang.Interrupted:
                pass
">>,
    [
        begin
            _ = py:state_remove(<<"finally">>),
            ok = py:bind(),
            ok = py:exec(Code),
            {ok, Ref} = py:stream_start('__main__', items, []),
            receive {py_chunk, Ref, 0} -> ok end,
            ok = py:unbind(),
            cancelled = last(Ref),
            py_test:until(fun() -> py:state_fetch(<<"finally">>) =:= {ok, true} end)
        end
     || _ <- lists:seq(1, 3)
    ],
    ok = py:state_remove(<<"finally">>).

last(Ref) ->
    receive
        {py_chunk, Ref, _} -> last(Ref);
        {py_error, Ref, Reason} -> Reason
    end.

%% A worker with a stream is not taken, even while the stream runs: it may wait for its consumer for as long as it likes. Whoever wants
%% to be bound gets the worker whose stream ends first.
%% covers: py:bind/1, py:stream_start/5
streams_keep_workers(_) ->
    Pool = streaming,
    Code = <<"def slow():\n    import time\n    while True:\n        yield 1\n        time.sleep(0.01)">>,
    ok = py_pool:start_pool(Pool, #{num_workers => 2, max_workers => 2, preload => Code}),
    [
        begin
            Streams = two_stream_counts(Pool),
            {Binder, Monitor} = spawn_monitor(fun() -> {ok, C} = py:bind(#{pool => Pool}), exit({bound, os_pid(C)}) end),
            py_test:until(fun() -> waits_in_vain(py_context) end),
            {Ended, OsPid} = lists:nth(N, Streams),
            ok = py:cancel(Ended),
            receive {'DOWN', Monitor, process, Binder, Reason} -> ?assertEqual({bound, OsPid}, Reason) end,
            [ok = py:cancel(Ref) || {Ref, _} <- Streams, Ref =/= Ended],
            py_test:until(fun() -> stream_counts(Pool) =:= [0, 0] end),
            none_bound()
        end
     || N <- [1, 2]
    ],
    ok = py_pool:stop_pool(Pool).

%% Streams that run, one in each worker of a pool of two, with the process ids of these.
two_stream_counts(Pool) ->
    Start = fun() ->
        {ok, Ref} = py:stream_start('__main__', slow, [], #{}, #{pool => Pool, credit => infinity}),
        receive {py_chunk, Ref, 1} -> Ref end
    end,
    First = Start(),
    [Has] = [P || #{pool := Q, os_pid := P, streams := 1} <- py:workers(), Q =:= Pool],
    Second = Start(),
    case stream_counts(Pool) of
        [1, 1] ->
            [{First, Has}, {Second, hd(py_test:os_pids(Pool) -- [Has])}];
        _ ->
            [ok = py:cancel(Ref) || Ref <- [First, Second]],
            py_test:until(fun() -> stream_counts(Pool) =:= [0, 0] end),
            two_stream_counts(Pool)
    end.

stream_counts(Pool) ->
    [N || #{pool := P, streams := N} <- py:workers(), P =:= Pool].

%% Whether somebody waits who found no worker that could be spared.
waits_in_vain(Server) ->
    {state, Waiting, _} = sys:get_state(Server),
    [late || W <- Waiting, element(tuple_size(W), W) =:= late] =:= [late].

%% A worker whose main thread is an event loop is bound and put back like any other.
async_pool(_) ->
    [
        begin
            {ok, C} = py:bind(#{pool => async}),
            {error, {'NameError', _}} = py:ctx_eval(C, <<"x">>),
            ok = py:ctx_exec(C, <<"x = 1">>),
            {ok, 1} = py:await(py:ctx_async_call(C, asyncio, sleep, [0, 1])),
            Ref = py:ctx_async_call(C, asyncio, sleep, [3600]),
            ok = py:unbind(C),
            {error, cancelled} = py:await(Ref)
        end
     || _ <- lists:seq(1, 5)
    ],
    none_bound(),
    {ok, none} = py:await(py:async_call(asyncio, sleep, [0])).

%% The code of exec_all stays, what the owner has defined goes, also where the two meet.
%% covers: py:exec_all/1
exec_all_while_bound(_) ->
    ok = py:bind(),
    Pid = os_pid(),
    ok = py:exec(<<"mine = 1\nboth = 'same'\nimport os\nos.environ['MINE'] = '1'">>),
    ok = py:exec_all(<<"both = 'same'\nglobal_too = None\ndef define():\n    global global_too\n    global_too = 7\ndefine()\n"
                       "import os\nos.environ['EXEC_ALL_WHILE_BOUND'] = '1'">>),
    {ok, {1, <<"same">>, 7}} = py:eval(<<"(mine, both, global_too)">>),
    ok = py:unbind(),
    again(Pid, fun() ->
        {ok, {<<"same">>, 7, <<"1">>, none}} = py:eval(<<"(both, global_too, os.environ['EXEC_ALL_WHILE_BOUND'], os.environ.get('MINE'))">>),
        {error, {'NameError', _}} = py:eval(<<"mine">>)
    end),
    ok = py:exec_all(<<"del both, global_too, define, os.environ['EXEC_ALL_WHILE_BOUND'], os">>),
    again(Pid, fun() -> {error, {'NameError', _}} = py:eval(<<"both">>) end).

%% Owners by the dozen, which let go, die or are killed at any moment, beside callers without a binding: nobody meets what another
%% left, and nothing stays reserved.
many_owners(_) ->
    Owners = [spawn_monitor(fun() -> owner(15) end) || _ <- lists:seq(1, 24)],
    Callers = [spawn_monitor(fun() -> [{ok, N} = py:eval(<<"n">>, #{n => N}, #{pool => default}) || N <- lists:seq(1, 2000)] end) || _ <- lists:seq(1, 4)],
    _ = [receive after rand:uniform(20) -> exit(Pid, kill) end || {Pid, _} <- lists:sublist(Owners, 12)],
    [receive {'DOWN', Monitor, _, _, Reason} -> ?assert(lists:member(Reason, [normal, killed])) end || {_, Monitor} <- Owners],
    [receive {'DOWN', Monitor, _, _, Reason} -> ?assertEqual(normal, Reason) end || {_, Monitor} <- Callers],
    none_bound(),
    py_test:whole(default).

owner(0) ->
    ok;
owner(N) ->
    case py:with_context(fun() -> own_work(rand:uniform(4)) end) of
        {error, no_workers_available} -> erlang:yield();
        done -> ok
    end,
    owner(N - 1).

own_work(Kind) ->
    {ok, <<"nobody">>} = py:eval(<<"globals().get('owner', 'nobody')">>),
    ok = py:exec([<<"owner = ">>, integer_to_list(Kind)]),
    _ = [py:call_async(time, sleep, [3600]) || Kind =:= 1],
    _ = [py:cast(math, sqrt, [4]) || Kind =:= 2],
    _ = [{ok, Kind} = py:eval(<<"owner">>) || Kind > 1],
    done.

%% Bound workers stay until they are released.
%% covers: py_pool:resize/2
resize(_) ->
    Contexts = [begin {ok, C} = py:bind(new), C end || _ <- lists:seq(1, 3)],
    Pids = [os_pid(C) || C <- Contexts],
    ok = py_pool:resize(default, 1),
    Pids = [os_pid(C) || C <- Contexts],
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ?assertMatch(#{num_workers := 4}, py_pool:get_stats()),
    [A, B, C] = Contexts,
    ok = py:unbind(A),
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 3 end),
    Pids2 = [os_pid(X) || X <- [B, C]],
    ?assertEqual(tl(Pids), Pids2),
    ok = py:unbind(B),
    ok = py:unbind(C),
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 1 end),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ok = py_pool:resize(default, 2).

%% Bindings survive a crash of the server, and end with their owners after it.
server_restarts(_) ->
    {Owner, {ok, C}} = holder(fun() -> py:bind(new) end),
    ok = py:bind(),
    ok = py:exec(<<"x = 1">>),
    Server = whereis(py_context),
    exit(Server, kill),
    py_test:until(fun() -> is_pid(whereis(py_context)) andalso whereis(py_context) =/= Server end),
    {ok, 1} = py:eval(<<"x">>),
    {ok, 1} = py:ctx_eval(C, <<"common">>),
    ?assertMatch(#{checked_out := 2}, py_pool:get_stats()),
    exit(Owner, kill),
    ok = py:unbind(),
    none_bound().

stop_with_bindings(_) ->
    ok = py:bind(),
    {ok, C} = py:bind(new),
    {Owner, {ok, D}} = holder(fun() -> py:bind(new) end),
    py_test:stop(),
    {error, {worker_down, _}} = py:eval(<<"1">>),
    ?assertNot(py:is_bound()),
    {error, not_started} = py:eval(<<"1">>),
    {error, not_started} = py:bind(),
    {error, not_started} = py:with_context(fun() -> ok end),
    {error, {worker_down, _}} = py:ctx_eval(C, <<"1">>),
    ok = py:unbind(D),
    ok = py:unbind(),
    exit(Owner, kill),
    ok = start(),
    ok = py:bind(),
    {ok, 1} = py:eval(<<"common">>).
