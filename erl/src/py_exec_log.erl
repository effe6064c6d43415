%% @doc What every worker of the common pools ({@link py_everywhere}) has run and every later one runs before it serves: the code
%% of `py:exec_all/1', and settings. Code may also be that of one pool.
%%
%% Entries are numbered. A worker that starts applies the log by number and then joins; while an entry is
%% being run everywhere it stands in the log already, so that a worker that starts meanwhile
%% runs it, too. One entry is run at a time, so that all workers see the same order.
%%
%% A setting is state: it has a key, a request that brings it about and one that undoes it. There is one entry per key, and
%% setting what is set already leaves it in its place, before the code that was run after it. Where a setting fails on some worker,
%% all of them go back to the one before. What is unset keeps an entry, for workers that are about to join and have applied the
%% setting; a worker that begins to read skips it.
-module(py_exec_log).

-behaviour(gen_server).

-export([start_link/0, create_table/0, exec_all/2, set/4, unset/2, setting/1, after_number/2, request/1, join/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([entry/0]).

-include_lib("kernel/include/logger.hrl").

-define(TABLE, py_exec_log).
%% Settings do not count.
-define(MAX_ENTRIES, 1000).
%% Going back is for workers that answer.
-define(ROLLBACK_TIMEOUT, 5000).

-type entry() ::
    {exec_all, py_everywhere:scope(), Code :: binary()}
    | {setting, Key :: atom(), py_nif:request(), Undo :: py_nif:request()}
    | {unset, Key :: atom(), Undo :: py_nif:request()}.

-record(state, {
    next = 1 :: pos_integer(),
    running = none :: none | {pid(), reference(), pos_integer()},
    queue = queue:new() :: queue:queue({gen_server:from(), entry()})
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

%% @doc Runs code on every worker of the common pools, or of the pool that the options name, and records it if that succeeded everywhere.
-spec exec_all(py:code(), py:options()) -> ok | py_everywhere:failure().
exec_all(Code, Options) ->
    case {py_text:utf8(Code), py_options:parse(Options)} of
        {{ok, Text}, {ok, {Timeout, _, Scope}}} -> exec_all(Text, Timeout, Scope);
        {_, {error, _} = Error} -> Error;
        {error, _} -> {error, {badarg, code}}
    end.

-spec exec_all(binary(), timeout(), py_everywhere:scope()) -> ok | py_everywhere:failure().
exec_all(Text, Timeout, Scope) ->
    case Scope =:= undefined orelse py_pool:ensure(Scope) of
        {error, _} = Error -> Error;
        _ -> everywhere({exec_all, Scope, Text}, Timeout)
    end.

%% @doc Brings a setting about on every worker of the common pools, in place of the one with this key. Both requests must do
%% no harm when they are run twice. Goes on to its end when the calling process dies.
-spec set(atom(), py_nif:request(), py_nif:request(), timeout()) -> ok | py_everywhere:failure().
set(Key, Request, Undo, Timeout) ->
    apart({setting, Key, Request, Undo}, Timeout).

%% @doc Undoes a setting, if there is one.
-spec unset(atom(), timeout()) -> ok | py_everywhere:failure().
unset(Key, Timeout) ->
    case recorded({setting, Key}) of
        [{_, {setting, Key, _, Undo}}] -> apart({unset, Key, Undo}, Timeout);
        [_ | _] -> ok;
        [] -> case whereis(?MODULE) of undefined -> {error, not_started}; _ -> ok end
    end.

%% @doc The request of a setting.
-spec setting(atom()) -> {ok, py_nif:request()} | none.
setting(Key) ->
    case [Request || {_, {setting, _, Request, _}} <- recorded({setting, Key})] of
        [] -> none;
        Requests -> {ok, lists:last(Requests)}
    end.

%% @doc What a worker of a pool that has applied the log up to a number has to run, and up to where it has the log then.
-spec after_number(atom(), non_neg_integer()) -> {non_neg_integer(), [entry()]}.
after_number(Pool, Number) ->
    Rows = rows_after(Number),
    Set = [Key || {_, {setting, Key, _, _}} <- Rows],
    Needed = fun
        ({unset, Key, _}) -> Number > 0 orelse lists:member(Key, Set);
        (_) -> true
    end,
    {lists:max([Number | [N || {N, _} <- Rows]]), [Entry || {_, Entry} <- Rows, py_everywhere:belongs(Pool, scope(Entry)), Needed(Entry)]}.

-spec rows_after(non_neg_integer()) -> [{pos_integer(), entry()}].
rows_after(Number) ->
    ets:select(?TABLE, [{{'$1', '_'}, [{'>', '$1', Number}], ['$_']}]).

-spec scope(entry()) -> py_everywhere:scope().
scope({exec_all, Scope, _}) -> Scope;
scope(_) -> undefined.

%% @doc What a worker runs for an entry.
-spec request(entry()) -> py_nif:request().
request({exec_all, _, Text}) -> {exec, Text};
request({setting, _, Request, _}) -> Request;
request({unset, _, Undo}) -> Undo.

%% @doc A worker that has applied the log up to `Number' takes part from here on, or is told to read on.
-spec join(non_neg_integer(), non_neg_integer()) -> joined | behind.
join(WorkerId, Number) ->
    gen_server:call(?MODULE, {join, WorkerId, Number}, infinity).

-spec apart(entry(), timeout()) -> ok | py_everywhere:failure().
apart(Entry, Timeout) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({result, everywhere(Entry, Timeout)}) end),
    receive
        {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
    end.

-spec everywhere(entry(), timeout()) -> ok | py_everywhere:failure().
everywhere(Entry, Timeout) ->
    try gen_server:call(?MODULE, {start, Entry}, Timeout) of
        {ok, Number} ->
            case py_everywhere:failures(py_everywhere:ask(request(Entry), Timeout, py_everywhere:members(scope(Entry)))) of
                [] ->
                    gen_server:call(?MODULE, {commit, Number, Entry, in_place}, infinity);
                Failed ->
                    ok = go_back(gen_server:call(?MODULE, {abort, Number, Entry}, infinity)),
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

-spec go_back(ok | {back, pos_integer(), entry()}) -> ok.
go_back(ok) ->
    ok;
go_back({back, Number, Entry}) ->
    case py_everywhere:failures(py_everywhere:ask(request(Entry), ?ROLLBACK_TIMEOUT)) of
        [] -> ok;
        Failed -> ?LOG_WARNING("could not go back to the earlier setting of ~ts: ~tp", [element(2, Entry), Failed])
    end,
    _ = gen_server:call(?MODULE, {commit, Number, Entry, last}, infinity),
    ok.

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
handle_call({start, Entry}, From, #state{queue = Queue} = State) ->
    {noreply, next(State#state{queue = queue:in({From, Entry}, Queue)})};
handle_call({commit, Number, Entry, Place}, _From, #state{running = {_, Monitor, Number}} = State) ->
    true = demonitor(Monitor, [flush]),
    ok = settle(Place, Entry, Number, [Old || {N, _} = Old <- recorded(identity(Entry)), N =/= Number]),
    {reply, ok, next(State#state{running = none})};
handle_call({abort, Number, {exec_all, _, _}}, _From, #state{running = {_, Monitor, Number}} = State) ->
    true = demonitor(Monitor, [flush]),
    true = ets:delete(?TABLE, Number),
    {reply, ok, next(State#state{running = none})};
handle_call({abort, Number, Entry}, _From, #state{running = {Pid, Monitor, Number}, next = Next} = State) ->
    Old = [E || {N, E} <- recorded(identity(Entry)), N =/= Number],
    Earlier = case Old of [E | _] -> E; [] -> undone(Entry) end,
    true = ets:insert(?TABLE, {Next, Earlier}),
    true = ets:delete(?TABLE, Number),
    {reply, {back, Next, Earlier}, State#state{running = {Pid, Monitor, Next}, next = Next + 1}};
handle_call({commit, Number, _Entry, _Place}, _From, State) ->
    %% The server was restarted in between.
    true = ets:delete(?TABLE, Number),
    {reply, {error, interrupted}, State};
handle_call({abort, _Number, _Entry}, _From, State) ->
    {reply, ok, State};
handle_call({join, WorkerId, Number}, _From, State) ->
    Reply =
        case rows_after(Number) of
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
        {{value, {{Pid, _} = From, Entry}}, Rest} ->
            case is_full(Entry) of
                true ->
                    gen_server:reply(From, {error, {exec_all_log_full, ?MAX_ENTRIES}}),
                    next(State#state{queue = Rest});
                false ->
                    Monitor = monitor(process, Pid),
                    true = ets:insert(?TABLE, {Number, Entry}),
                    gen_server:reply(From, {ok, Number}),
                    State#state{running = {Pid, Monitor, Number}, queue = Rest, next = Number + 1}
            end
    end;
next(State) ->
    State.

-spec is_full(entry()) -> boolean().
is_full({exec_all, _, _} = Entry) ->
    Codes = ets:select_count(?TABLE, [{{'_', {exec_all, '_', '_'}}, [], [true]}]),
    Codes >= ?MAX_ENTRIES andalso recorded(Entry) =:= [];
is_full(_) ->
    false.

%% One entry is left of those with the same identity. Workers that are about to join have to undo a setting that failed, so the
%% one before becomes the last.
-spec settle(in_place | last, entry(), pos_integer(), [{pos_integer(), entry()}]) -> ok.
settle(in_place, {setting, _, _, _} = Entry, Number, [{_, Entry}]) ->
    true = ets:delete(?TABLE, Number),
    ok;
settle(_Place, _Entry, _Number, Old) ->
    lists:foreach(fun({N, _}) -> ets:delete(?TABLE, N) end, Old).

-spec identity(entry()) -> {exec_all, py_everywhere:scope(), binary()} | {setting, atom()}.
identity({exec_all, _, _} = Entry) -> Entry;
identity({setting, Key, _, _}) -> {setting, Key};
identity({unset, Key, _}) -> {setting, Key}.

-spec recorded({exec_all, py_everywhere:scope(), binary()} | {setting, atom()}) -> [{pos_integer(), entry()}].
recorded(Identity) ->
    Entries = case ets:whereis(?TABLE) of undefined -> []; Table -> ets:tab2list(Table) end,
    [Row || {_, Entry} = Row <- Entries, identity(Entry) =:= Identity].

-spec undone(entry()) -> entry().
undone({setting, Key, _, Undo}) -> {unset, Key, Undo};
undone({unset, _, _} = Entry) -> Entry.
