%% Threads of numerical libraries, counted: a worker starts no more than its share, and what the user says about OpenMP reaches them.
-module(py_threads_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() -> [openmp_of_the_user, counted].

-define(VARIABLES, ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS"]).

init_per_suite(Config) ->
    Before = [{Name, os:getenv(Name)} || Name <- ?VARIABLES],
    [true = os:unsetenv(Name) || Name <- ?VARIABLES],
    ok = py_test:start([{num_workers, 1}]),
    [{before, Before} | Config].

end_per_suite(Config) ->
    py_test:stop(),
    [true = os:putenv(Name, Value) || {Name, Value} <- proplists:get_value(before, Config), Value =/= false],
    ok.

end_per_testcase(Case, _Config) ->
    true = os:unsetenv("OMP_NUM_THREADS"),
    _ = py_pool:stop_pool(Case),
    ok.

%% The variables that a worker of a pool with these options has.
seen(Env) ->
    ok = py_pool:start_pool(openmp_of_the_user, #{num_workers => 1, env => Env}),
    {ok, Seen} = py:eval(
        <<"{n: v for n, v in __import__('os').environ.items() if n in names}">>, #{names => [list_to_binary(N) || N <- ?VARIABLES]}, #{pool => openmp_of_the_user}
    ),
    ok = py_pool:stop_pool(openmp_of_the_user),
    Seen.

%% covers: config:env
openmp_of_the_user(_) ->
    Share = integer_to_binary(py_threads:processors()),
    All = maps:from_list([{list_to_binary(Name), Share} || Name <- ?VARIABLES]),
    ?assertEqual(All, seen(inherit)),
    Polars = #{<<"POLARS_MAX_THREADS">> => Share},
    ?assertEqual(Polars, seen([{"OMP_NUM_THREADS", false}])),
    ?assertEqual(Polars#{<<"OMP_NUM_THREADS">> => <<"5">>}, seen([{"OMP_NUM_THREADS", "5"}])),
    ?assertEqual(All#{<<"MKL_NUM_THREADS">> => <<"5">>}, seen([{"MKL_NUM_THREADS", "5"}])),
    true = os:putenv("OMP_NUM_THREADS", "7"),
    ?assertEqual(Polars#{<<"OMP_NUM_THREADS">> => <<"7">>}, seen(inherit)),
    ?assertEqual(All, seen(clean)).

%% covers: config:env
counted(_) ->
    case py:eval(<<"__import__('importlib.util').util.find_spec('numpy') is not None">>) of
        {ok, true} ->
            Processors = py_threads:processors(),
            ?assertEqual(0, started(#{num_workers => Processors})),
            ?assertEqual(Processors - 1, started(#{num_workers => 1})),
            ?assertEqual(Processors - 1, started(#{num_workers => Processors, env => [{"OMP_NUM_THREADS", integer_to_list(Processors)}]}));
        {ok, false} ->
            {skip, "numpy is not installed"}
    end.

%% Threads that a product of matrices starts in a worker.
started(Options) ->
    ok = py_pool:start_pool(counted, Options),
    {ok, Started} = py:eval(
        <<"(lambda os, threads: (lambda before, product: len(threads()) - before)("
          "len(threads()), (lambda a: float((a @ a)[0, 0]))(__import__('numpy').ones((400, 400)))))"
          "(__import__('os'), lambda: __import__('os').listdir('/proc/self/task'))">>,
        #{}, #{pool => counted}
    ),
    ok = py_pool:stop_pool(counted),
    Started.
