%% Every function of module py under thousands of random wrong arguments: an answer each time, no exception, and workers that live on.
%% PY_JUNK_CALLS sets how many calls each function gets (default 60); the seed is in the log of the run.
-module(py_junk_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(CALLS, 60).
%% Calls at a time.
-define(WIDTH, 16).
%% Nothing here takes long; who has no answer by then waits for something that will not come, which only
%% awaiting a reference may do.
-define(PATIENCE, 20000).
-define(AWAIT_PATIENCE, 200).

suite() -> [{timetrap, {seconds, 120}}].

all() -> [every_function, other_modules, web, junk_values, junk_options, short_entries].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 2}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

%% Workers and pools are the same ones afterwards, and everything is given back.
unharmed(Fun) ->
    _ = py:parallel([{math, sqrt, [4]}]),
    py_test:whole(default),
    Before = [{Pool, py_test:os_pids(Pool)} || Pool <- [default, parallel]],
    Seed = rand:seed(exsss),
    ct:log("seed ~p", [rand:export_seed_s(Seed)]),
    Found = Fun(),
    %% One example of each kind.
    Kinds = maps:from_list([{{F, length(Args), kind(Outcome)}, Wrong} || {{_, F, Args}, Outcome} = Wrong <- Found]),
    _ = [ct:pal("~0P", [Wrong, 40]) || Wrong <- maps:values(Kinds)],
    ?assertEqual([], maps:keys(Kinds)),
    py_test:settled(),
    %% Bindings may have made a pool larger.
    [?assertEqual({Pool, []}, {Pool, OsPids -- py_test:os_pids(Pool)}) || {Pool, OsPids} <- Before],
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ok.

kind({Class, Reason, [{M, F, A, _} | _]}) when is_atom(Reason) -> {Class, Reason, M, F, case A of [_ | _] -> length(A); _ -> A end};
kind({Class, _, _}) -> Class;
kind({returned, _}) -> returned;
kind(Other) -> Other.

calls() ->
    list_to_integer(os:getenv("PY_JUNK_CALLS", integer_to_list(?CALLS))).

%% Nobody waits for the answers of what was well meant by chance.
end_per_testcase(Case, Config) ->
    py_test:settled(),
    receive _ -> end_per_testcase(Case, Config) after 0 -> ok end.

%% covers: py:call/3, py:call/5, py:eval/3, py:exec/2, py:await/2, py:cancel/1, py:parallel/2, guarantee:wrong_arguments
every_function(_) ->
    unharmed(fun() ->
        %% That one makes directories.
        Functions = [{F, A} || {F, A} <- py:module_info(exports), A > 0, F =/= module_info, F =/= ensure_venv],
        Calls = [{F, [argument(F, N) || N <- lists:seq(1, A)]} || {F, A} <- Functions, _ <- lists:seq(1, calls())],
        ct:log("~b calls of ~b functions", [length(Calls), length(Functions)]),
        wrong([{py, F, Args} || {F, Args} <- Calls], fun accepted/2)
    end).

%% covers: py_semaphore:acquire/1, py_semaphore:set_max_concurrent/1, py_pool:resize/2, py_callback:register/2, py_callback:lookup/1
other_modules(_) ->
    unharmed(fun() ->
        Max = py_semaphore:max_concurrent(),
        Names = [default, <<"default">>, no_such_pool],
        Calls = [
            pick([
                {py_semaphore, acquire, [junk()]},
                {py_semaphore, set_max_concurrent, [pick([junk(), 16384])]},
                {py_pool, start_pool, [pick([junk(), name]), junk_settings()]},
                {py_pool, resize, [pick([junk() | Names]), junk()]},
                {py_pool, get_stats, [junk()]},
                {py_pool, stop_pool, [junk()]},
                {py_callback, register, [junk(), junk()]},
                {py_callback, unregister, [junk()]},
                {py_callback, lookup, [junk()]}
            ])
         || _ <- lists:seq(1, 10 * calls())
        ],
        Wrong = wrong(Calls, fun(_, Result) -> is_result(Result) orelse is_map(Result) end),
        ok = py_semaphore:set_max_concurrent(Max),
        Wrong
    end).

%% covers: py_asgi:run/5, py_asgi:run_async/5, py_asgi:run_stream/5, py_asgi:build_scope/2, py_wsgi:run/4, guarantee:wrong_arguments
web(_) ->
    unharmed(fun() ->
        Calls = [
            case N rem 6 of
                0 -> {py_asgi, run, [name(), name(), scope(), junk(), web_options()]};
                1 -> {py_asgi, run_async, [name(), name(), scope(), junk(), web_options()]};
                2 -> {py_asgi, run_stream, [name(), name(), scope(), pick([junk(), stream]), web_options()]};
                3 -> {py_asgi, build_scope, [scope(), scope()]};
                4 -> {py_asgi, cancel, [make_ref()]};
                5 -> {py_wsgi, run, [name(), name(), pick([junk(), #{pick(['PATH_INFO', junk()]) => junk()}]), web_options()]}
            end
         || N <- lists:seq(1, 10 * calls())
        ],
        wrong(Calls, fun(_, Result) -> is_result(Result) orelse is_map(Result) end)
    end).

name() -> pick([junk(), math, <<"builtins">>, "sqrt", repr]).

scope() ->
    Keys = [method, path, raw_path, query_string, headers, scheme, http_version, root_path, client, server, state, asgi, <<"other">>],
    pick([junk(), #{pick([junk() | Keys]) => junk()}, #{pick(Keys) => junk(), pick(Keys) => junk()}]).

web_options() ->
    pick([junk(), 100, #{timeout => 100}, #{timeout => 100, pick([factory, credit, runner, error, pool]) => junk_option()}]).

%% An atom would be the name of a pool, which is made.
junk_option() ->
    case junk() of
        Atom when is_atom(Atom) -> 7;
        Junk -> Junk
    end.

%% Such that no pool starts.
junk_settings() ->
    pick([self(), #{nonsense => junk()}, [{nonsense, junk()}], [{num_workers, {junk()}}], #{num_workers => pick([0, -1, 1.5, one])}, [{junk()}]]).

%% Valid calls with junk among the values: Python sees it, or it is refused.
%% covers: py:call/4, py:call_async/3
junk_values(_) ->
    unharmed(fun() ->
        Calls = [
            case N rem 3 of
                0 -> {py, call, [builtins, repr, [junk()]]};
                1 -> {py, call, [builtins, dict, [], #{k => junk(), <<"l">> => [junk()]}]};
                2 -> {py, eval, [<<"[x, {'y': y}]">>, [{x, junk()}, {y, {junk(), junk()}}]]}
            end
         || N <- lists:seq(1, 20 * calls())
        ],
        wrong(Calls, fun(_, Result) -> is_result(Result) end)
    end).

%% An option that nobody knows, or a value that it does not have, is named.
%% covers: py:call/5, py:spawn_call/5
junk_options(_) ->
    unharmed(fun() ->
        Keys = [timeout, return, error, binary, none, ndarray, unknown, tags, nonsense, 1, <<"timeout">>],
        Calls = [{py, call, [math, sqrt, [4], #{}, #{pick(Keys) => bad_option()}]} || _ <- lists:seq(1, 5 * calls())],
        wrong(Calls, fun([_, _, _, _, Options], Result) -> Result =:= {error, {bad_option, hd(maps:keys(Options))}} end)
    end).

%% What is wrong may be a term of any size; the log has the beginning of it.
%% covers: py:cast/3, guarantee:wrong_arguments
short_entries(_) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    ok = py:cast(deep(1000, []), deep(1000, []), []),
    receive {logged, Text} -> ?assert(length(Text) < 1000) after ?PATIENCE -> ct:fail(not_logged) end,
    ok = logger:remove_handler(?MODULE).

%% A handler of logger.
log(#{msg := {Format, Args}}, #{config := Pid}) when is_list(Args) ->
    Pid ! {logged, lists:flatten(io_lib:format(Format, Args))};
log(_, _) ->
    ok.

bad_option() ->
    pick([-1, 1.5, <<"none">>, "ref", {}, [], #{}, self(), 1 bsl 64, bad, 'True']).

%% Calls that ended otherwise than they may, with what came of them.
wrong(Calls, Accepted) ->
    Outcomes = side_by_side(Calls),
    [{Call, Outcome} || {{_, F, Args} = Call, Outcome} <- Outcomes, not fine(F, Args, Outcome, Accepted)].

fine(_, Args, {returned, Result}, Accepted) -> Accepted(Args, Result);
%% Documented: the context of a call is one that was bound.
fine(F, _, {error, context_not_bound, _}, _) -> lists:prefix("ctx_", atom_to_list(F));
%% Waiting for a message that nobody sends is what these are for.
fine(F, [Ref | _], silent, _) when F =:= await; F =:= async_await -> is_reference(Ref);
fine(_, _, _, _) -> false.

%% Of the functions that know what they were given, only those without an error to return give something else.
accepted(_, Result) ->
    is_result(Result) orelse is_reference(Result) orelse is_boolean(Result) orelse is_list(Result) orelse is_map(Result) orelse is_integer(Result).

is_result(ok) -> true;
is_result(not_running) -> true;
is_result(done) -> true;
is_result({ok, _}) -> true;
is_result({error, _}) -> true;
is_result(_) -> false.

side_by_side(Calls) ->
    side_by_side(Calls, #{}, []).

side_by_side([], Running, Done) when map_size(Running) =:= 0 ->
    Done;
side_by_side([{M, F, Args} = Call | Calls], Running, Done) when map_size(Running) < ?WIDTH ->
    {_, Monitor} = spawn_monitor(fun() ->
        {ok, Timer} = timer:exit_after(patience(F, Args), silent),
        Outcome =
            try {returned, apply(M, F, Args)}
            catch Class:Reason:Stack -> {Class, Reason, Stack}
            end,
        {ok, cancel} = timer:cancel(Timer),
        exit({outcome, Outcome})
    end),
    side_by_side(Calls, Running#{Monitor => Call}, Done);
side_by_side(Calls, Running, Done) ->
    receive
        {'DOWN', Monitor, process, _, Reason} when is_map_key(Monitor, Running) ->
            Outcome = case Reason of {outcome, O} -> O; Other -> Other end,
            side_by_side(Calls, maps:remove(Monitor, Running), [{maps:get(Monitor, Running), Outcome} | Done])
    end.

patience(F, [Ref | _]) when is_reference(Ref), F =:= await orelse F =:= async_await -> ?AWAIT_PATIENCE;
patience(_, _) -> ?PATIENCE.

%% Arguments. Every other one is right where it stands, so that the wrong one behind it is reached.

argument(F, N) ->
    case rand:uniform(2) of
        1 -> junk();
        2 -> right(F, N)
    end.

right(F, 1) when F =:= parallel -> [{math, sqrt, [4]}];
right(F, 1) when F =:= await; F =:= async_await; F =:= cancel -> py:call_async(math, sqrt, [4]);
right(_, 1) -> pick([math, <<"builtins">>, "os.path", <<"1 + 1">>]);
right(_, 2) -> pick([sqrt, <<"repr">>, "join", #{x => 1}, [], 100]);
right(_, 3) -> pick([[], [1], [4.0], 100]);
right(_, 4) -> pick([#{}, [], 100]);
right(_, _) -> pick([100, infinity, #{timeout => 100}]).

pick(List) ->
    lists:nth(rand:uniform(length(List)), List).

%% Anything but what is dangerous because it is right.
junk() ->
    case rand:uniform(4) of
        1 -> [junk() || _ <- lists:seq(1, rand:uniform(3))];
        2 -> nest(pick([fun list/1, fun tuple/1, fun map/1, fun key/1, fun improper/1, fun tagged/1]), leaf());
        _ -> leaf()
    end.

nest(Wrap, Leaf) -> Wrap(Leaf).

list(X) -> [X].
tuple(X) -> {X, X}.
map(X) -> #{a => X}.
key(X) -> #{X => 1}.
improper(X) -> [X | 1].
tagged(X) -> {pick([bytes, str, buffer, float, tuple, ndarray, py_object, generator, atom]), X}.

leaf() ->
    case rand:uniform(36) of
        1 -> '';
        2 -> "";
        3 -> <<>>;
        4 -> <<255, 254>>;
        5 -> <<1:3>>;
        6 -> <<"a", 0, "b">>;
        7 -> [0];
        8 -> [16#D800];
        9 -> [16#110000];
        10 -> [-1];
        11 -> 'no.such.module';
        12 -> "..";
        13 -> <<".a.">>;
        14 -> -1;
        15 -> 1 bsl 64;
        16 -> -(1 bsl 5000);
        17 -> 1.0e308;
        18 -> self();
        19 -> make_ref();
        20 -> fun() -> ok end;
        21 -> hd(erlang:ports());
        22 -> {};
        23 -> #{};
        24 -> #{1 => 2, 1.0 => 3};
        25 -> {py_object, make_ref()};
        26 -> {ndarray, pick([int8, <<"f8">>, foo, 1]), pick([[2], [-1], {2}, foo]), pick([<<1, 2>>, foo])};
        27 -> {float, pick([nan, foo, 1.0])};
        28 -> deep(100000, []);
        29 -> binary:copy(<<"x">>, 100000);
        30 -> lists:seq(1, 5000);
        31 -> undefined;
        32 -> infinity;
        33 -> <<"if">>;
        34 -> 'é';
        35 -> [<<"a">>, $b, [<<"c">>]];
        36 -> [{a, 1}, {a, 2}]
    end.

deep(0, Term) -> Term;
deep(N, Term) -> deep(N - 1, [Term]).
