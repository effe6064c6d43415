%% @doc The code that `py:exec_all/1' runs on every worker, and its log.
%%
%% Entries are numbered. A worker that starts applies the log by number and then joins; while an entry is
%% being run everywhere it stands in the log already, so that a worker that starts meanwhile
%% runs it, too. One `exec_all' runs at a time, so that all workers see the same order.
-module(py_exec_log).

-behaviour(gen_server).

-export([start_link/0, create_table/0, run/2, on_workers/2, after_number/1, join/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(TABLE, py_exec_log).
-define(MAX_ENTRIES, 1000).
%% The pools that functions without a pool of their own mean.
-define(COMMON_POOLS, [default, parallel]).

-record(state, {
    next = 1 :: pos_integer(),
    running = none :: none | {pid(), reference(), pos_integer()},
    queue = queue:new() :: queue:queue({gen_server:from(), binary()})
}).

%% @doc Starts the server.
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @doc Makes the table, owned by the calling process.
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, ordered_set]),
    ok.

%% @doc Runs code on every worker of the common pools and records it if that succeeded everywhere.
-spec run(binary(), timeout()) -> ok | {error, term()}.
run(Text, Timeout) ->
    try gen_server:call(?MODULE, {start, Text}, Timeout) of
        {ok, Number} ->
            case on_workers({exec, Text}, Timeout) of
                [] ->
                    gen_server:call(?MODULE, {commit, Number, Text}, infinity);
                Failed ->
                    ok = gen_server:call(?MODULE, {abort, Number}, infinity),
                    {error, Failed}
            end;
        {error, _} = Error ->
            Error
    catch
        exit:{timeout, _} ->
            ok = gen_server:cast(?MODULE, {forget, self()}),
            {error, timeout};
        exit:{noproc, _} -> {error, not_started}
    end.

%% @doc Runs a request on every worker of the common pools: who failed, and why.
-spec on_workers(py_nif:request(), timeout()) -> [{non_neg_integer(), term()}].
on_workers(Request, Timeout) ->
    Deadline = deadline(Timeout),
    Flags = py_options:no_permit(),
    Sent = [
        {Id, element(1, py_request:async(Worker, Request, infinity, Flags))}
     || {Id, Pool, Worker} <- py_pool:joined(), lists:member(Pool, ?COMMON_POOLS)
    ],
    lists:append([
        case py_request:await(Ref, left(Deadline)) of
            {ok, _} -> [];
            {error, Reason} -> [{Id, Reason}]
        end
     || {Id, Ref} <- Sent
    ]).

-spec deadline(timeout()) -> infinity | integer().
deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

-spec left(infinity | integer()) -> timeout().
left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

%% @doc The entries after a number, in order.
-spec after_number(non_neg_integer()) -> [{pos_integer(), binary()}].
after_number(Number) ->
    ets:select(?TABLE, [{{'$1', '_'}, [{'>', '$1', Number}], ['$_']}]).

%% @doc A worker that has applied the log up to `Number' takes part from here on, or is told to read on.
-spec join(non_neg_integer(), non_neg_integer()) -> joined | behind.
join(WorkerId, Number) ->
    gen_server:call(?MODULE, {join, WorkerId, Number}, infinity).

%% @private
-spec init([]) -> {ok, #state{}}.
init([]) ->
    Next =
        case ets:last(?TABLE) of
            '$end_of_table' -> 1;
            Last -> Last + 1
        end,
    {ok, #state{next = Next}}.

%% @private
-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}} | {noreply, #state{}}.
handle_call({start, Text}, From, #state{queue = Queue} = State) ->
    {noreply, next(State#state{queue = queue:in({From, Text}, Queue)})};
handle_call({commit, Number, Text}, _From, #state{running = {_, Monitor, Number}} = State) ->
    true = demonitor(Monitor, [flush]),
    _ = [ets:delete(?TABLE, N) || {N, T} <- after_number(0), T =:= Text, N =/= Number],
    {reply, ok, next(State#state{running = none})};
handle_call({abort, Number}, _From, #state{running = {_, Monitor, Number}} = State) ->
    true = demonitor(Monitor, [flush]),
    true = ets:delete(?TABLE, Number),
    {reply, ok, next(State#state{running = none})};
handle_call({commit, Number, _Text}, _From, State) ->
    %% The server was restarted in between.
    true = ets:delete(?TABLE, Number),
    {reply, {error, interrupted}, State};
handle_call({abort, _Number}, _From, State) ->
    {reply, ok, State};
handle_call({join, WorkerId, Number}, _From, State) ->
    Reply =
        case after_number(Number) of
            [] ->
                ok = py_pool:set_joined(WorkerId),
                joined;
            _ ->
                behind
        end,
    {reply, Reply, State}.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({forget, Pid}, #state{running = {Pid, Monitor, Number}} = State) ->
    true = demonitor(Monitor, [flush]),
    true = ets:delete(?TABLE, Number),
    {noreply, next(State#state{running = none})};
handle_cast({forget, Pid}, #state{queue = Queue} = State) ->
    {noreply, State#state{queue = queue:filter(fun({{P, _}, _}) -> P =/= Pid end, Queue)}};
handle_cast(_Cast, State) ->
    {noreply, State}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Monitor, process, _, _}, #state{running = {_, Monitor, Number}} = State) ->
    true = ets:delete(?TABLE, Number),
    {noreply, next(State#state{running = none})};
handle_info(_Info, State) ->
    {noreply, State}.

-spec next(#state{}) -> #state{}.
next(#state{running = none, queue = Queue, next = Number} = State) ->
    case queue:out(Queue) of
        {empty, _} ->
            State;
        {{value, {{Pid, _} = From, Text}}, Rest} ->
            case ets:info(?TABLE, size) >= ?MAX_ENTRIES andalso not recorded(Text) of
                true ->
                    gen_server:reply(From, {error, {exec_all_log_full, ?MAX_ENTRIES}}),
                    next(State#state{queue = Rest});
                false ->
                    Monitor = monitor(process, Pid),
                    true = ets:insert(?TABLE, {Number, Text}),
                    gen_server:reply(From, {ok, Number}),
                    State#state{running = {Pid, Monitor, Number}, queue = Rest, next = Number + 1}
            end
    end;
next(State) ->
    State.

-spec recorded(binary()) -> boolean().
recorded(Text) ->
    ets:match_object(?TABLE, {'_', Text}) =/= [].
