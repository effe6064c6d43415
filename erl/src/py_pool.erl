%% @doc Named pools of workers.
%%
%% `default' serves what names no pool, `parallel' serves `py:parallel/1' and starts at its first use; others
%% are started with {@link start_pool/2} or by option `pools'. The server decides how many workers there are; no request passes
%% through it: the native pool is found in `persistent_term' under `{py_pool, Name}', written once per start, for pool `default' with
%% the table of {@link py_pools_of} if there is one.
-module(py_pool).

-behaviour(gen_server).

-export([start_pool/2, stop_pool/1, resize/2, get_stats/0, get_stats/1]).
-export([grow/2, start_checked/2, ensure/1, native/1, spec/1, names/0, await_worker/2, close_all/0, forget_all/0, drain/1]).
-export([create_tables/0, workers_started/2, joined/0, set_joined/1, workers/0, update_worker/4, forget_worker/1, notify/2]).
-export([start_link/2, init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include_lib("kernel/include/logger.hrl").

-export_type([spec/0, stats/0, worker_row/0]).

-type spec() :: #{
    num_workers := pos_integer(),
    inline_budget_us := non_neg_integer(),
    pools_of := py_pools_of:table(),
    segments := auto | named,
    interpreter := py_interpreter:interpreter(),
    host := file:filename_all(),
    core := file:filename_all(),
    atom() => term()
}.
%% The options of the pool ({@link py_config}), its `interpreter', and the paths `host' and `core'.
-type stats() :: #{
    num_workers := non_neg_integer(),
    max_workers := pos_integer(),
    ready_workers := non_neg_integer(),
    available_workers := non_neg_integer(),
    checked_out := non_neg_integer(),
    pending_requests := non_neg_integer(),
    parked_requests := non_neg_integer(),
    waiting_requests := non_neg_integer(),
    restarts := non_neg_integer(),
    failing := boolean(),
    last_errors := [string()],
    latency := py_latency:summary()
}.
%% `available_workers' are ready, not bound, and have nothing to do; `checked_out' are bound; `parked_requests' wait for a worker, `waiting_requests'
%% for a permit or for room in a ring. `failing': no worker stays up, and requests get `{error, no_workers_available}' at once; `last_errors' are
%% those of the workers that are down or start after a failure. `latency': how long requests take in Python, of all workers since the pool was started.
-type worker_row() :: {Id :: non_neg_integer(), Pool :: atom(), undefined | py_nif:worker(), Joined :: boolean(), Info :: map()}.

%% So many starts that failed or deaths at once, one after another, and a worker is not expected any more.
-define(FAILURES, 4).
%% Between two looks at workers that are due and cannot be spared.
-define(DUE_LOOK, 1000).
-define(POOLS, py_pools).
-define(WORKERS, py_workers).

-record(state, {
    name :: atom(),
    spec :: spec(),
    native :: py_nif:pool(),
    size :: pos_integer(),
    starting = true :: boolean(),
    going = [] :: [non_neg_integer()],
    %% Workers that could not go yet, because of bindings.
    surplus = 0 :: non_neg_integer(),
    failure = none :: none | string(),
    failing = false :: boolean(),
    %% Workers that are to be replaced, in the order of their turns.
    due = [] :: [non_neg_integer()],
    %% The one whose turn it is, and its substitute, which starts.
    turn = none :: none | {Old :: non_neg_integer(), New :: non_neg_integer()},
    due_timer = none :: none | reference(),
    ready_waiters = [] :: [gen_server:from()],
    worker_waiters = [] :: [gen_server:from()]
}).

%% @doc Starts a pool with options of its own and waits until its workers serve.
-spec start_pool(atom(), map() | [{atom(), term()}]) -> ok | {error, term()}.
start_pool(Name, Options) when is_atom(Name), Name =/= undefined ->
    case py_config:pool(Name, Options) of
        {ok, Config} -> start_checked(Name, Config);
        {error, _} = Error -> Error
    end;
start_pool(_Name, _Options) ->
    {error, {badarg, pool}}.

%% @private
-spec start_checked(atom(), py_config:pool_config()) -> ok | {error, term()}.
start_checked(Name, Config) ->
    case whereis(py_sup) of
        undefined -> {error, not_started};
        _ -> start_found(Name, Config, py_interpreter:find(Config))
    end.

-spec start_found(atom(), py_config:pool_config(), {ok, py_interpreter:interpreter()} | {error, term()}) -> ok | {error, term()}.
start_found(_Name, _Config, {error, _} = Error) ->
    Error;
start_found(Name, Config, {ok, Interpreter}) ->
    case py_sup:start_pool(Name, py_worker_launch:spec(Config, Interpreter)) of
        {ok, _} -> await_start(Name);
        {error, {already_started, _}} -> {error, already_started};
        {error, already_present} -> {error, already_started};
        {error, _} = Error -> Error
    end.

-spec await_start(atom()) -> ok | {error, term()}.
await_start(Name) ->
    case call(Name, await_ready, infinity) of
        ok ->
            ok;
        {error, _} = Error ->
            _ = stop_pool(Name),
            Error
    end.

%% @doc Stops a pool; requests in it end with `{worker_down, stopped}'.
-spec stop_pool(atom()) -> ok | {error, not_started}.
stop_pool(Name) ->
    case native(Name) of
        undefined ->
            {error, not_started};
        Pool ->
            _ = persistent_term:erase({py_pool, Name}),
            ok = py_nif:pool_close(Pool),
            _ = py_sup:stop_pool(Name),
            true = ets:match_delete(?WORKERS, {'_', Name, '_', '_', '_'}),
            _ = [ets:delete(?POOLS, Key) || Key <- [{server, Name}, {workers, Name}, {spec, Name}]],
            ok
    end.

%% @doc Changes the number of workers. Grows until the new workers serve; workers that go finish their work first. Bound workers
%% stay while they are bound and one more for the others; what is too many goes when bindings end.
-spec resize(atom(), pos_integer()) -> ok | {error, term()}.
resize(Name, Size) when is_integer(Size), Size > 0 ->
    call(Name, {resize, Size}, infinity);
resize(_Name, _Size) ->
    {error, {badarg, size}}.

%% @private Starts one more worker than there are, within `max_workers'; `replace': in the place of an idle one if there may be no more.
-spec grow(atom(), add | replace) -> {ok, WorkerId :: non_neg_integer()} | {full, Present :: non_neg_integer()} | {error, term()}.
grow(Name, How) ->
    call(Name, {grow, How}, infinity).

%% @doc Statistics of the pool `default'.
-spec get_stats() -> stats() | {error, not_started}.
get_stats() ->
    get_stats(default).

%% @doc Statistics of a pool.
-spec get_stats(atom()) -> stats() | {error, not_started}.
get_stats(Name) ->
    case native(Name) of
        undefined ->
            {error, not_started};
        Pool ->
            #{pending := Pending, parked := Parked, waiting := Waiting} = py_nif:pool_info(Pool),
            Rows = [Row || {_, N, _, _, _} = Row <- workers(), N =:= Name],
            Ready = [W || {_, _, W, _, #{state := ready}} <- Rows],
            Infos = [py_nif:worker_info(W) || W <- Ready],
            #{
                num_workers => length([up || {_, _, _, _, #{state := S}} <- Rows, S =/= draining, S =/= leaving]),
                max_workers => maps:get(max_workers, spec(Name)),
                ready_workers => length(Ready),
                available_workers => length([idle || #{in_flight := 0, bound := false} <- Infos]),
                checked_out => length([bound || #{bound := true} <- Infos]),
                pending_requests => Pending,
                parked_requests => Parked,
                waiting_requests => Waiting,
                restarts => lists:sum([R || {_, _, _, _, #{restarts := R}} <- Rows]),
                failing => failing(Rows),
                last_errors => [E || {_, _, _, _, #{state := S, last_error := E}} <- Rows, S =:= down orelse S =:= starting, E =/= none],
                latency => py_latency:summary(py_latency:of_pool(Pool))
            }
    end.

%% @private The native pool, started if it is `async' or `parallel'.
-spec ensure(atom()) -> {ok, py_nif:pool()} | {error, term()}.
ensure(Name) ->
    case native(Name) of
        undefined when Name =:= async; Name =:= parallel ->
            case start_pool(Name, #{}) of
                ok -> ensure_started(Name);
                {error, already_started} ->
                    case call(Name, await_ready, infinity) of
                        ok -> ensure_started(Name);
                        {error, _} = Error -> Error
                    end;
                {error, _} = Error -> Error
            end;
        undefined when Name =:= default -> {error, not_started};
        undefined -> {error, {badarg, pool}};
        Pool -> {ok, Pool}
    end.

ensure_started(Name) ->
    case native(Name) of
        undefined -> {error, not_started};
        Pool -> {ok, Pool}
    end.

%% @private
-spec native(atom()) -> py_nif:pool() | undefined.
native(Name) ->
    case persistent_term:get({py_pool, Name}, undefined) of
        {_PoolsOf, Pool} -> Pool;
        Pool -> Pool
    end.

%% @private
-spec spec(atom()) -> spec().
spec(Name) ->
    ets:lookup_element(?POOLS, {spec, Name}, 2).

%% @private Names of the pools that run.
-spec names() -> [atom()].
names() ->
    case ets:whereis(?POOLS) of
        undefined -> [];
        _ -> ets:select(?POOLS, [{{{server, '$1'}, '_'}, [], ['$1']}])
    end.

%% @private Returns when the pool has a worker that serves.
-spec await_worker(atom(), timeout()) -> ok | {error, term()}.
await_worker(Name, Timeout) ->
    call(Name, await_worker, Timeout).

%% @private No pool takes requests afterwards.
-spec close_all() -> ok.
close_all() ->
    lists:foreach(
        fun(Name) ->
            case native(Name) of
                undefined -> ok;
                Pool ->
                    _ = persistent_term:erase({py_pool, Name}),
                    true = ets:insert(?POOLS, {{closed, Name}, Pool}),
                    ok = py_nif:pool_close(Pool)
            end
        end,
        names()
    ).

%% @private Forgets the native pools that {@link close_all/0} has not seen because the supervision crashed.
-spec forget_all() -> ok.
forget_all() ->
    _ = [persistent_term:erase(Key) || {{py_pool, _} = Key, _} <- persistent_term:get()],
    ok.

%% @private Waits until the closed pools have nothing in flight, for at most `Timeout' ms.
-spec drain(non_neg_integer()) -> ok.
drain(Timeout) ->
    Closed = ets:select(?POOLS, [{{{closed, '_'}, '$1'}, [], ['$1']}]),
    drain(Closed, erlang:monotonic_time(millisecond) + Timeout).

-spec drain([py_nif:pool()], integer()) -> ok.
drain(Pools, Deadline) ->
    Busy = lists:any(fun(Pool) -> maps:get(pending, py_nif:pool_info(Pool)) > 0 end, Pools),
    case Busy andalso erlang:monotonic_time(millisecond) < Deadline of
        true ->
            receive after 10 -> drain(Pools, Deadline) end;
        false ->
            ok
    end.

-spec call(atom(), term(), timeout()) -> term().
call(Name, Request, Timeout) ->
    case ets:whereis(?POOLS) =/= undefined andalso ets:lookup(?POOLS, {server, Name}) of
        [{_, Server}] ->
            try gen_server:call(Server, Request, Timeout)
            catch
                exit:{timeout, _} -> {error, timeout};
                exit:{_, _} -> {error, not_started}
            end;
        _ ->
            {error, not_started}
    end.

%% Tables. Rows are written by the processes that they describe and read by everyone.

%% @private
-spec create_tables() -> ok.
create_tables() ->
    _ = ets:new(?POOLS, [named_table, public, set, {read_concurrency, true}]),
    _ = ets:new(?WORKERS, [named_table, public, ordered_set, {read_concurrency, true}]),
    ok.

%% @private
-spec workers_started(atom(), pid()) -> ok.
workers_started(Name, Sup) ->
    true = ets:insert(?POOLS, {{workers, Name}, Sup}),
    ok.

%% @private
-spec workers() -> [worker_row()].
workers() ->
    case ets:whereis(?WORKERS) of
        undefined -> [];
        _ -> ets:tab2list(?WORKERS)
    end.

%% @private Workers that have applied the log of py_exec_log.
-spec joined() -> [{non_neg_integer(), atom(), py_nif:worker()}].
joined() ->
    [{Id, Pool, Worker} || {Id, Pool, Worker, true, _} <- workers(), Worker =/= undefined].

%% @private
-spec set_joined(non_neg_integer()) -> ok.
set_joined(Id) ->
    _ = ets:update_element(?WORKERS, Id, {4, true}),
    ok.

%% @private Writes the row of a worker; leaves `Joined' as it is while the worker serves.
-spec update_worker(non_neg_integer(), atom(), undefined | py_nif:worker(), map()) -> ok.
update_worker(Id, Pool, Worker, #{state := State} = Info) ->
    Joined = (State =:= ready orelse State =:= leaving) andalso ets:lookup_element(?WORKERS, Id, 4),
    true = ets:insert(?WORKERS, {Id, Pool, Worker, Joined, Info}),
    ok.

%% @private
-spec forget_worker(non_neg_integer()) -> ok.
forget_worker(Id) ->
    true = ets:delete(?WORKERS, Id),
    ok.

%% @private A worker serves, has ended, could not start, is due for replacement, needs a substitute at once, or is not bound any more.
-spec notify(atom(), ready | down | {failed, string()} | {due, non_neg_integer()} | replace | spare) -> ok.
notify(Name, Event) ->
    case ets:lookup(?POOLS, {server, Name}) of
        [{_, Server}] -> gen_server:cast(Server, {worker, Event});
        [] -> ok
    end.

%% @private
-spec start_link(atom(), spec()) -> {ok, pid()} | ignore | {error, term()}.
start_link(Name, Spec) ->
    gen_server:start_link(?MODULE, {Name, Spec}, []).

%% @private
-spec init({atom(), spec()}) -> {ok, #state{}}.
init({Name, #{num_workers := Size, inline_budget_us := Budget, pools_of := PoolsOf} = Spec}) ->
    Running = length(supervisor:which_children(workers_sup(Name))),
    Native =
        case native(Name) of
            %% The supervision was started again: requests that wait in the pool are served by the workers to come.
            Pool when Pool =/= undefined ->
                Pool;
            undefined ->
                New = py_nif:pool_new(Name, #{inline_budget_us => Budget}),
                ok = persistent_term:put({py_pool, Name}, case map_size(PoolsOf) of 0 -> New; _ -> {PoolsOf, New} end),
                New
        end,
    true = ets:insert(?POOLS, [{{server, Name}, self()}, {{spec, Name}, Spec}]),
    true = ets:delete(?POOLS, {closed, Name}),
    true = Running > 0 orelse ets:match_delete(?WORKERS, {'_', Name, '_', '_', '_'}),
    State = #state{name = Name, spec = Spec, native = Native, size = Size, starting = Running =:= 0},
    _ = start_workers(Size - Running, State),
    ok = py_slow:look_after(Spec),
    {ok, State}.

%% @private
-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}} | {reply, term(), #state{}}.
handle_call(await_ready, From, #state{ready_waiters = Waiters} = State) ->
    {noreply, wake(State#state{ready_waiters = [From | Waiters]})};
handle_call(await_worker, _From, #state{failing = true} = State) ->
    {reply, {error, no_workers_available}, State};
handle_call(await_worker, From, #state{worker_waiters = Waiters} = State) ->
    {noreply, wake(State#state{worker_waiters = [From | Waiters]})};
handle_call({resize, Size}, _From, #state{spec = #{max_workers := Max}} = State) when Size > Max ->
    {reply, {error, {max_workers, Max}}, State};
handle_call({resize, Size}, From, #state{ready_waiters = Waiters} = State) ->
    Surplus = length(present(State)) - Size,
    _ = start_workers(-Surplus, State),
    {Kept, Shrunk} = retire(Surplus, State#state{size = Size, failure = none}),
    {noreply, wake(Shrunk#state{surplus = Kept, ready_waiters = [From | Waiters]})};
handle_call({grow, How}, _From, #state{spec = #{max_workers := Max}} = State) ->
    Present = length(present(State)),
    {_, Room} =
        case How =:= replace andalso Present >= Max of
            true -> retire(1, 1, State);
            false -> {0, State}
        end,
    case length(present(Room)) < Max of
        true ->
            [Id] = start_workers(1, Room),
            {reply, {ok, Id}, Room};
        false ->
            {reply, {full, Present}, Room}
    end.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({worker, ready}, #state{name = Name} = State) ->
    ok = py_context:changed(Name),
    {noreply, recycle(take_turn(wake(judge(State))))};
handle_cast({worker, down}, State) ->
    {noreply, give_up(judge(State))};
handle_cast({worker, {due, Id}}, #state{due = Due} = State) ->
    {noreply, recycle(State#state{due = lists:delete(Id, Due) ++ [Id]})};
handle_cast({worker, replace}, State) ->
    _ = start_workers(1, State),
    {noreply, State};
handle_cast({worker, spare}, #state{surplus = Surplus} = State) ->
    {Kept, Shrunk} = retire(Surplus, State),
    {noreply, Shrunk#state{surplus = Kept}};
handle_cast({worker, {failed, Text}}, State) ->
    {noreply, not_started(Text, State)}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({timeout, Timer, due}, #state{due_timer = Timer} = State) ->
    {noreply, recycle(State#state{due_timer = none})};
handle_info(_Info, State) ->
    {noreply, State}.

%% Who waits for a worker hears why there will be none.
-spec not_started(string(), #state{}) -> #state{}.
not_started(Text, #state{name = Name, ready_waiters = Waiters, starting = Starting} = State) ->
    Failure = {worker_start_failed, Text},
    ok = py_context:failed(Name, Failure),
    _ = [gen_server:reply(From, {error, Failure}) || From <- Waiters],
    State#state{ready_waiters = [], failure = case Starting of true -> Text; false -> none end}.

%% A worker that starts and ends again and again, without having served anybody, has not started.
-spec give_up(#state{}) -> #state{}.
give_up(#state{name = Name} = State) ->
    case [{Id, Error} || {Id, _, _, _, #{state := S, failures := F, last_error := Error}} <- present(State), S =/= ready, F >= ?FAILURES] of
        [] -> State;
        [{Id, Error} | _] -> not_started(lists:flatten(io_lib:format("worker ~b of pool ~ts does not stay up: ~ts", [Id, Name, Error])), State)
    end.

%% Answers those who wait for what has come true.
-spec wake(#state{}) -> #state{}.
wake(#state{failure = Text, ready_waiters = Waiters} = State) when is_list(Text) ->
    _ = [gen_server:reply(From, {error, {worker_start_failed, Text}}) || From <- Waiters],
    State#state{ready_waiters = []};
wake(#state{name = Name, size = Size, ready_waiters = ReadyWaiters, worker_waiters = WorkerWaiters, going = Going} = State) ->
    Ready = length([ready || {Id, N, _, _, #{state := ready}} <- workers(), N =:= Name, not lists:member(Id, Going)]),
    State1 =
        case Ready > 0 of
            true ->
                _ = [gen_server:reply(From, ok) || From <- WorkerWaiters],
                State#state{worker_waiters = []};
            false ->
                State
        end,
    case Ready >= Size of
        true ->
            _ = [gen_server:reply(From, ok) || From <- ReadyWaiters],
            State1#state{ready_waiters = [], starting = false};
        false ->
            State1
    end.

%% Workers that stay, in the order of their age; a substitute stands for nobody until it serves.
-spec present(#state{}) -> [worker_row()].
present(#state{name = Name, going = Going, turn = Turn}) ->
    Apart = case Turn of none -> Going; {_, New} -> [New | Going] end,
    [Row || {Id, N, _, _, #{state := S}} = Row <- workers(), N =:= Name, S =/= draining, S =/= leaving, not lists:member(Id, Apart)].

%% Whether there is no worker and none is expected.
-spec failing([worker_row()]) -> boolean().
failing(Rows) ->
    Rows =/= [] andalso lists:all(fun({_, _, _, _, #{state := S, failures := F}}) -> S =/= ready andalso F >= ?FAILURES end, Rows).

%% Requests wait for a worker as long as one is expected.
-spec judge(#state{}) -> #state{}.
judge(#state{name = Name, native = Native, failing = Before, worker_waiters = Waiters} = State) ->
    case failing(present(State)) of
        Before ->
            State;
        true ->
            ?LOG_ERROR("pool ~ts: no worker stays up; requests are refused until one does", [Name]),
            ok = py_events:post([py, pool, failing], #{count => 1}, #{pool => Name}),
            ok = py_nif:pool_failing(Native, true),
            _ = [gen_server:reply(From, {error, no_workers_available}) || From <- Waiters],
            State#state{failing = true, worker_waiters = []};
        false ->
            ?LOG_NOTICE("pool ~ts serves again", [Name]),
            ok = py_events:post([py, pool, recovered], #{count => 1}, #{pool => Name}),
            ok = py_nif:pool_failing(Native, false),
            State#state{failing = false}
    end.

%% Workers that are due go one after another: a substitute starts, serves, and only then the worker begins to leave. A bound one
%% waits for its turn. One that somebody is tied to or has objects or streams of leaves when they are gone, so it goes after the
%% others, and at most half of the pool may be leaving.
-spec recycle(#state{}) -> #state{}.
recycle(#state{name = Name, size = Size, due = [_ | _] = Due, turn = none} = State) ->
    Present = present(State),
    Due1 = [Id || Id <- Due, lists:keymember(Id, 1, Present)],
    Turns = lists:sort([
        {needed(Worker), N, Id}
     || {N, Id} <- lists:zip(lists:seq(1, length(Due1)), Due1),
        {_, _, Worker, _, #{state := ready}} <- [lists:keyfind(Id, 1, Present)],
        not bound(Worker)
    ]),
    Leaving = length([Id || {Id, N, _, _, #{state := leaving}} <- workers(), N =:= Name]),
    case Turns of
        [{_, _, Old} | _] when 2 * Leaving < Size ->
            [New] = start_workers(1, State),
            State#state{due = lists:delete(Old, Due1), turn = {Old, New}};
        _ ->
            look_again(State#state{due = Due1})
    end;
recycle(State) ->
    State.

-spec look_again(#state{}) -> #state{}.
look_again(#state{due = [_ | _], due_timer = none} = State) ->
    State#state{due_timer = erlang:start_timer(?DUE_LOOK, self(), due)};
look_again(State) ->
    State.

%% The substitute serves.
-spec take_turn(#state{}) -> #state{}.
take_turn(#state{turn = {Old, New}, going = Going} = State) ->
    Rows = workers(),
    case {lists:keyfind(New, 1, Rows), lists:keyfind(Old, 1, present(State))} of
        {{_, _, _, _, #{state := ready}}, {_, _, _, _, #{pid := Pid}}} ->
            ok = py_worker:recycle(Pid),
            State#state{turn = none, going = [Old | Going]};
        {{_, _, _, _, #{state := ready}}, false} ->
            %% The worker has gone for another reason, and another has taken its place.
            {_, Shrunk} = retire(1, State#state{turn = none}),
            Shrunk;
        {_, _} ->
            State
    end;
take_turn(State) ->
    State.

%% Whether somebody has something that leads to the worker.
-spec needed(py_nif:worker()) -> boolean().
needed(Worker) ->
    case py_nif:worker_info(Worker) of
        #{handles := 0, ties := 0, streams := 0} -> false;
        _ -> true
    end.

%% Tells workers to go, the youngest first, but no bound one, nor the last unbound one beside bound ones. How many could not go.
-spec retire(integer(), #state{}) -> {non_neg_integer(), #state{}}.
retire(Count, State) ->
    Bound = [bound || {_, _, Worker, _, _} <- present(State), bound(Worker)],
    retire(Count, min(1, length(Bound)), State).

%% As above, leaving at least `Keep' unbound ones.
-spec retire(integer(), 0 | 1, #state{}) -> {non_neg_integer(), #state{}}.
retire(Count, Keep, #state{going = Going0} = State) ->
    Unbound = [Row || {_, _, Worker, _, _} = Row <- present(State), not bound(Worker)],
    Most = length(Unbound) - Keep,
    Going = leave(max(0, min(Count, Most)), lists:reverse(Unbound), State),
    %% A worker that was told to go has not necessarily heard of it yet.
    Left = [Id || {Id, _, _, _, _} <- workers(), lists:member(Id, Going0)],
    {max(0, Count - length(Going)), State#state{going = Left ++ Going}}.

-spec leave(non_neg_integer(), [worker_row()], #state{}) -> [non_neg_integer()].
leave(Count, [{Id, _, Worker, _, #{pid := Pid}} | Rest], #state{native = Native} = State) when Count > 0 ->
    _ = [py_nif:pool_remove(Native, Worker) || Worker =/= undefined],
    case bound(Worker) of
        true ->
            %% It was bound in the meantime.
            ok = py_nif:pool_add(Native, Worker),
            leave(Count, Rest, State);
        false ->
            ok = py_worker:retire(Pid),
            [Id | leave(Count - 1, Rest, State)]
    end;
leave(_Count, _Rows, _State) ->
    [].

-spec bound(undefined | py_nif:worker()) -> boolean().
bound(undefined) -> false;
bound(Worker) -> maps:get(bound, py_nif:worker_info(Worker)).

-spec start_workers(integer(), #state{}) -> [non_neg_integer()].
start_workers(Count, #state{name = Name, native = Native}) ->
    Sup = workers_sup(Name),
    lists:map(
        fun(_) ->
            Id = ets:update_counter(?POOLS, next_worker_id, 1, {next_worker_id, 0}),
            {ok, _} = py_sup:start_worker(Sup, Id, Native),
            Id
        end,
        lists:seq(1, max(0, Count))
    ).

-spec workers_sup(atom()) -> pid().
workers_sup(Name) ->
    ets:lookup_element(?POOLS, {workers, Name}, 2).
