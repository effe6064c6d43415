%% @doc Supervision.
%%
%% <pre>
%% py_sup ------ py_deadline
%%           +-- py_exec_log
%%           +-- py_callback
%%           +-- py_context
%%           +-- py_logger
%%           +-- py_tracer
%%           +-- py_events
%%           +-- py_slow
%%           +-- pools ------ pool NAME ---- workers ---- py_worker, one per worker
%%                        +-- ...       +--- py_pool
%% </pre>
%%
%% The tables belong to `py_sup', so that what they hold survives a crash of the servers that write them.
-module(py_sup).

-behaviour(supervisor).

-export([start_link/0, start_pool/2, stop_pool/1, start_worker/3]).
-export([start_pools/0, start_pool_sup/2, start_workers/2]).
-export([init/1]).

-define(POOLS, py_pools_sup).

%% @doc Starts the tree, without pools.
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, root).

%% @doc Starts the processes of one pool.
-spec start_pool(atom(), py_pool:spec()) -> {ok, pid()} | {error, term()}.
start_pool(Name, Spec) ->
    Child = #{
        id => Name, start => {?MODULE, start_pool_sup, [Name, Spec]}, type => supervisor, shutdown => infinity, restart => permanent
    },
    case supervisor:start_child(?POOLS, Child) of
        {ok, Pid} when is_pid(Pid) -> {ok, Pid};
        {error, _} = Error -> Error
    end.

%% @doc Ends the processes of one pool.
-spec stop_pool(atom()) -> ok | {error, not_found}.
stop_pool(Name) ->
    case supervisor:terminate_child(?POOLS, Name) of
        ok ->
            _ = supervisor:delete_child(?POOLS, Name),
            ok;
        {error, not_found} ->
            {error, not_found}
    end.

%% @doc Starts a process for one more worker of a pool.
-spec start_worker(pid(), non_neg_integer(), py_nif:pool()) -> {ok, pid()}.
start_worker(Workers, Id, Pool) ->
    {ok, Pid} = supervisor:start_child(Workers, [Id, Pool]),
    {ok, Pid}.

%% @private
-spec start_pools() -> {ok, pid()} | ignore | {error, term()}.
start_pools() ->
    supervisor:start_link({local, ?POOLS}, ?MODULE, pools).

%% @private
-spec start_pool_sup(atom(), py_pool:spec()) -> {ok, pid()} | ignore | {error, term()}.
start_pool_sup(Name, Spec) ->
    supervisor:start_link(?MODULE, {pool, Name, Spec}).

%% @private
-spec start_workers(atom(), py_pool:spec()) -> {ok, pid()} | ignore | {error, term()}.
start_workers(Name, Spec) ->
    supervisor:start_link(?MODULE, {workers, Name, Spec}).

%% @private
-spec init(root | pools | {pool | workers, atom(), py_pool:spec()}) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(root) ->
    ok = py_pool:create_tables(),
    ok = py_exec_log:create_table(),
    ok = py_callback:create_table(),
    ok = py_state:create_table(),
    ok = py_context:create_table(),
    ok = py_tracer:create_table(),
    ok = py_events:create_table(),
    ok = py_asgi_stream:create_table(),
    {ok,
        {#{strategy => one_for_one, intensity => 10, period => 10}, [
            worker(py_deadline, []),
            worker(py_exec_log, []),
            worker(py_callback, []),
            worker(py_context, []),
            worker(py_logger, []),
            worker(py_tracer, []),
            worker(py_events, []),
            worker(py_slow, []),
            #{id => pools, start => {?MODULE, start_pools, []}, type => supervisor, shutdown => infinity}
        ]}};
init(pools) ->
    {ok, {#{strategy => one_for_one, intensity => 10, period => 10}, []}};
init({pool, Name, Spec}) ->
    {ok,
        {#{strategy => rest_for_one, intensity => 5, period => 10}, [
            #{id => workers, start => {?MODULE, start_workers, [Name, Spec]}, type => supervisor, shutdown => infinity},
            worker(py_pool, [Name, Spec])
        ]}};
init({workers, Name, Spec}) ->
    ok = py_pool:workers_started(Name, self()),
    %% A worker that dies is started again by its py_worker, with a back-off; the supervisor
    %% only meets faults of py_worker itself, which must not end the pool.
    {ok,
        {#{strategy => simple_one_for_one, intensity => 100, period => 10}, [
            #{
                id => py_worker,
                start => {py_worker, start_link, [Name, Spec]},
                restart => transient,
                shutdown => py_worker:shutdown_time()
            }
        ]}}.

-spec worker(module(), [term()]) -> supervisor:child_spec().
worker(Module, Args) ->
    #{id => Module, start => {Module, start_link, Args}, shutdown => 5000}.
