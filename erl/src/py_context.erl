%% @doc Bindings: workers that one process, or whoever has the context, uses alone.
%%
%% <pre>
%% waiting --> preparing --> bound --> ending --> the worker serves its pool again
%%    |            |                      |
%%    +-- error    +-- its worker died    +-- its worker was replaced
%% </pre>
%%
%% This server decides who gets which worker, and gives workers back when their owners let go or die; requests never pass
%% through it. Before a binding and after it the worker has nothing in flight and puts its state back, so
%% that nobody meets what others left. A pool in which no worker can be spared grows.
-module(py_context).

-behaviour(gen_server).

-export([bind/0, bind/1, unbind/0, unbind/1, is_bound/0, with_context/1]).
-export([sync/3, on_loop/2, release/1]).
-export([start_link/0, create_table/0, changed/1, failed/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([context/0, options/0]).

-type context() :: py_nif:lease().
%% A binding as a term: may be kept, sent and used by any process of the node.
-type options() :: #{fresh => boolean(), pool => atom()}.
%% `fresh': the worker's process is a new one.

-define(TABLE, py_contexts).
-define(PATIENCE, 30000).
%% A worker that has answered, or is put back, is idle within a fraction of this; the start of one takes several times as long.
-define(SOON, 10).
%% Between two looks at workers of which none could be spared.
-define(LATE, 100).
%% Finalisers of the objects that are let go may run for so long.
-define(RESET_LIMIT, 10000).

-record(waiting, {
    from :: gen_server:from(),
    monitor :: reference(),
    timer :: reference(),
    pool :: atom(),
    fresh :: boolean(),
    %% What was done to get a worker: `soon' one may be idle, `late' none was; the number of one that was started for this.
    state = new :: new | soon | late | {started, non_neg_integer()}
}).

-record(binding, {
    pool :: atom(),
    owner :: pid(),
    monitor :: reference(),
    phase :: {preparing, #waiting{}} | bound | ending,
    %% The request that puts the state of the worker back.
    reset = none :: none | reference()
}).

-record(state, {
    waiting = [] :: [#waiting{}],
    bindings = #{} :: #{context() => #binding{}}
}).

%% @doc Binds the calling process to a worker of its own.
-spec bind() -> ok | {error, term()}.
bind() ->
    Bound = py_route:bound(),
    case Bound =/= undefined andalso py_nif:alive(Bound) of
        true ->
            ok;
        false ->
            case acquire(default, false) of
                {ok, Context} ->
                    ok = unbind(),
                    _ = py_route:set_bound(Context),
                    ok;
                {error, _} = Error ->
                    Error
            end
    end.

%% @doc Makes a context, owned by the calling process.
-spec bind(new | options()) -> {ok, context()} | {error, term()}.
bind(new) ->
    bind(#{});
bind(Options) when is_map(Options) ->
    case maps:fold(fun option/3, {default, false}, Options) of
        {error, _} = Error -> Error;
        {Pool, Fresh} -> acquire(Pool, Fresh)
    end;
bind(_) ->
    {error, {badarg, options}}.

-spec option(term(), term(), Parsed) -> Parsed when Parsed :: {atom(), boolean()} | {error, {bad_option, term()}}.
option(pool, Pool, {_, Fresh}) when is_atom(Pool), Pool =/= undefined -> {Pool, Fresh};
option(fresh, Fresh, {Pool, _}) when is_boolean(Fresh) -> {Pool, Fresh};
option(_, _, {error, _} = Error) -> Error;
option(Key, _, _) -> {error, {bad_option, Key}}.

-spec acquire(atom(), boolean()) -> {ok, context()} | {error, term()}.
acquire(Name, Fresh) ->
    case py_pool:ensure(Name) of
        {ok, _} ->
            try gen_server:call(?MODULE, {bind, Name, Fresh}, infinity)
            catch
                exit:_ -> {error, not_started}
            end;
        {error, _} = Error ->
            Error
    end.

%% @doc Ends what `bind/0' and `py:exec/1' began for the calling process.
-spec unbind() -> ok.
unbind() ->
    ok = py_route:untie(),
    case py_route:set_bound(undefined) of
        undefined -> ok;
        Context -> call({unbind, Context, self()})
    end.

%% @doc Ends a context.
-spec unbind(context()) -> ok | {error, {badarg, context}}.
unbind(Context) ->
    case is_context(Context) of
        true -> release(Context);
        false -> {error, {badarg, context}}
    end.

%% @private Ends a binding, whoever owns it.
-spec release(context()) -> ok.
release(Context) ->
    call({unbind, Context, any}).

-spec call(term()) -> ok.
call(Request) ->
    try gen_server:call(?MODULE, Request, infinity)
    catch
        %% The application has stopped, and its workers with it.
        exit:_ -> ok
    end.

%% @doc Whether `bind/0' binds the calling process.
-spec is_bound() -> boolean().
is_bound() ->
    py_route:bound() =/= undefined.

%% @doc Runs a function with a binding that ends with it.
-spec with_context(fun(() -> Result) | fun((context()) -> Result)) -> Result | {error, term()}.
with_context(Fun) when is_function(Fun, 0); is_function(Fun, 1) ->
    case acquire(default, false) of
        {ok, Context} -> with_context(Fun, Context);
        {error, _} = Error -> Error
    end;
with_context(_) ->
    {error, {badarg, function}}.

-spec with_context(fun(() -> Result) | fun((context()) -> Result), context()) -> Result.
with_context(Fun, Context) when is_function(Fun, 1) ->
    try Fun(Context)
    after
        release(Context)
    end;
with_context(Fun, Context) ->
    Before = py_route:set_bound(Context),
    try Fun()
    after
        %% The function may have bound the process anew.
        _ = [release(C) || C <- [py_route:set_bound(Before)], C =/= Before, C =/= undefined],
        release(Context)
    end.

%% @doc Runs a request on a context. Raises `context_not_bound' after its end.
-spec sync(context(), py_nif:request(), py:options()) -> py:result().
sync(Context, Request, Options) ->
    case {py_options:parse(Options), is_context(Context)} of
        {{ok, {Timeout, Flags, undefined}}, true} -> seen(Context, py_request:sync(Context, Request, Timeout, Flags));
        {{ok, {_, _, undefined}}, false} -> {error, {badarg, context}};
        {{ok, _}, _} -> {error, {bad_option, pool}};
        {{error, _} = Error, _} -> Error
    end.

%% @doc Starts a request on the event loop of a context's worker, without a deadline; answered with `py_result'. Raises
%% `context_not_bound' after the context's end.
-spec on_loop(context(), py_nif:request()) -> reference().
on_loop(Context, Request) ->
    case is_context(Context) of
        true ->
            case py_request:async(Context, Request, py_result, infinity, py_options:async()) of
                {Ref, submitted} ->
                    Ref;
                {Ref, {refused, {worker_down, _} = Reason}} ->
                    try seen(Context, {error, Reason}) of
                        {error, _} -> Ref
                    catch
                        error:context_not_bound ->
                            ok = py_request:cancel(Ref),
                            error(context_not_bound)
                    end;
                {Ref, {refused, _}} ->
                    Ref
            end;
        false ->
            py_request:refused({badarg, context})
    end.

-spec seen(context(), py:result()) -> py:result().
seen(_Context, {error, {worker_down, released}}) ->
    error(context_not_bound);
seen(Context, {error, {worker_down, _}} = Error) ->
    _ = [release(Context) || not py_nif:alive(Context)],
    Error;
seen(_Context, Result) ->
    Result.

-spec is_context(term()) -> boolean().
is_context(Term) when is_reference(Term) -> py_nif:is_binding(Term);
is_context(_) -> false.

%% @private Owned by the calling process, so that bindings survive a crash of the server.
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, set]),
    ok.

%% @private A worker of the pool serves.
-spec changed(atom()) -> ok.
changed(Pool) ->
    gen_server:cast(?MODULE, {changed, Pool}).

%% @private A worker of the pool could not start.
-spec failed(atom(), term()) -> ok.
failed(Pool, Reason) ->
    gen_server:cast(?MODULE, {failed, Pool, Reason}).

%% @private
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @private
-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, lists:foldl(fun restore/2, #state{}, ets:tab2list(?TABLE))}.

%% After a crash: who was preparing or ending has nobody who waits for it.
-spec restore({context(), pid(), atom(), boolean()}, #state{}) -> #state{}.
restore({Context, Owner, Pool, Granted}, #state{bindings = Bindings} = State) ->
    Binding = #binding{pool = Pool, owner = Owner, monitor = monitor(process, Owner), phase = bound},
    Restored = State#state{bindings = Bindings#{Context => Binding}},
    case Granted andalso py_nif:alive(Context) of
        true -> Restored;
        false -> ending(Context, Binding, Restored)
    end.

%% @private
-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, ok, #state{}} | {noreply, #state{}}.
handle_call({bind, Pool, Fresh}, {Pid, _} = From, #state{waiting = Waiting} = State) ->
    Monitor = monitor(process, Pid),
    Timer = erlang:start_timer(?PATIENCE, self(), Monitor),
    New = #waiting{from = From, monitor = Monitor, timer = Timer, pool = Pool, fresh = Fresh},
    {noreply, serve(State#state{waiting = Waiting ++ [New]})};
handle_call({unbind, Context, By}, _From, #state{bindings = Bindings} = State) ->
    case Bindings of
        #{Context := #binding{phase = bound, owner = Owner} = Binding} when By =:= any; By =:= Owner ->
            {reply, ok, serve(ending(Context, Binding, State))};
        _ ->
            {reply, ok, State}
    end.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({changed, _Pool}, State) ->
    {noreply, serve(State)};
handle_cast({failed, Pool, Reason}, #state{waiting = Waiting} = State) ->
    {Hit, Others} = lists:partition(fun(#waiting{pool = P, state = S}) -> P =:= Pool andalso is_tuple(S) end, Waiting),
    _ = [refuse(W, Reason) || W <- Hit],
    {noreply, State#state{waiting = Others}}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({py_idle, Context}, #state{bindings = Bindings} = State) ->
    case Bindings of
        #{Context := Binding} -> {noreply, State#state{bindings = Bindings#{Context := reset(Context, Binding)}}};
        _ -> {noreply, State}
    end;
handle_info({py_response, Ref, _}, State) ->
    {noreply, put_back(Ref, ok, State)};
handle_info({py_error, Ref, Reason}, State) ->
    {noreply, put_back(Ref, {error, Reason}, State)};
handle_info({handed_back, Context}, #state{bindings = Bindings} = State) ->
    #{Context := Binding} = Bindings,
    {noreply, over(Context, Binding, State)};
handle_info({'DOWN', Monitor, process, _, _}, #state{waiting = Waiting, bindings = Bindings} = State) ->
    case {lists:keytake(Monitor, #waiting.monitor, Waiting), [{C, B} || {C, #binding{monitor = M} = B} <- maps:to_list(Bindings), M =:= Monitor]} of
        {{value, #waiting{timer = Timer}, Rest}, _} ->
            _ = erlang:cancel_timer(Timer),
            {noreply, serve(State#state{waiting = Rest})};
        {false, [{Context, Binding}]} ->
            {noreply, serve(ending(Context, Binding, State))};
        {false, []} ->
            {noreply, State}
    end;
handle_info({timeout, _, Monitor}, #state{waiting = Waiting, bindings = Bindings} = State) ->
    case {lists:keytake(Monitor, #waiting.monitor, Waiting), [{C, B} || {C, #binding{monitor = M, phase = {preparing, _}} = B} <- maps:to_list(Bindings), M =:= Monitor]} of
        {{value, Late, Rest}, _} ->
            refuse(Late, no_workers_available),
            {noreply, State#state{waiting = Rest}};
        {false, [{Context, #binding{phase = {preparing, Late}} = Binding}]} ->
            refuse(Late, no_workers_available),
            {noreply, ending(Context, Binding, State)};
        {false, []} ->
            {noreply, State}
    end;
handle_info({soon, Monitor}, #state{waiting = Waiting} = State) ->
    Served = serve(State#state{waiting = [
        case One of
            #waiting{monitor = Monitor, state = soon} -> One#waiting{state = late};
            _ -> One
        end
     || One <- Waiting
    ]}),
    %% Nobody tells when the last object or stream of a worker has gone.
    _ = [erlang:send_after(?LATE, self(), {soon, Monitor}) || #waiting{monitor = M, state = late} <- Served#state.waiting, M =:= Monitor],
    {noreply, Served};
handle_info(_Info, State) ->
    {noreply, State}.

%% Those who wait for a worker, in the order in which they came.

-spec serve(#state{}) -> #state{}.
serve(#state{waiting = Waiting} = State) ->
    lists:foldl(fun serve/2, State#state{waiting = []}, Waiting).

-spec serve(#waiting{}, #state{}) -> #state{}.
serve(#waiting{pool = Pool} = One, #state{waiting = Ahead} = State) ->
    case py_pool:native(Pool) of
        undefined ->
            refuse(One, not_started),
            State;
        Native ->
            case find(One, Native, State) of
                {ok, Context} -> prepare(Context, One, State);
                {wait, Now} -> State#state{waiting = Ahead ++ [One#waiting{state = Now}]};
                {error, Reason} ->
                    refuse(One, Reason),
                    State
            end
    end.

-spec find(#waiting{}, py_nif:pool(), #state{}) -> {ok, context()} | {wait, soon | late | {started, non_neg_integer()}} | {error, term()}.
find(#waiting{fresh = true, state = {started, Id} = Started}, Native, _State) ->
    case [W || {I, _, W, _, #{state := ready}} <- py_pool:workers(), I =:= Id] of
        [Worker] ->
            case py_nif:claim(Native, Worker) of
                {ok, _} = Ok -> Ok;
                %% Somebody else may have been faster.
                none -> {wait, case py_nif:worker_info(Worker) of #{bound := true} -> late; _ -> Started end}
            end;
        [] ->
            {wait, Started}
    end;
find(#waiting{fresh = true, pool = Pool}, _Native, _State) ->
    case py_pool:grow(Pool, replace) of
        {ok, Id} -> {wait, {started, Id}};
        {full, _} -> {error, no_workers_available};
        {error, _} = Error -> Error
    end;
find(#waiting{state = Now, monitor = Monitor, pool = Pool}, Native, State) ->
    case {py_nif:claim(Native, idle), Now} of
        {{ok, _} = Ok, _} ->
            Ok;
        {none, new} ->
            _ = erlang:send_after(?SOON, self(), {soon, Monitor}),
            {wait, soon};
        {none, late} ->
            find_more(Pool, Native, State);
        {none, _} ->
            {wait, Now}
    end.

%% No worker is idle. The pool grows; else one that has something to do is taken; else one may be on its way back, or starting.
-spec find_more(atom(), py_nif:pool(), #state{}) -> {ok, context()} | {wait, late | {started, non_neg_integer()}} | {error, term()}.
find_more(Pool, Native, #state{waiting = Ahead, bindings = Bindings}) ->
    case py_pool:grow(Pool, add) of
        {ok, Id} ->
            {wait, {started, Id}};
        {full, Present} ->
            Kept = length([C || {C, #binding{pool = P, phase = Phase}} <- maps:to_list(Bindings), P =:= Pool, Phase =/= ending, py_nif:alive(C)]),
            Before = length([1 || #waiting{pool = P} <- Ahead, P =:= Pool]),
            case py_nif:claim(Native, any) of
                {ok, _} = Ok -> Ok;
                none when Present - Kept - Before >= 2 -> {wait, late};
                none -> {error, no_workers_available}
            end;
        {error, _} = Error ->
            Error
    end.

-spec refuse(#waiting{}, term()) -> ok.
refuse(#waiting{from = From, monitor = Monitor, timer = Timer}, Reason) ->
    true = demonitor(Monitor, [flush]),
    _ = erlang:cancel_timer(Timer),
    gen_server:reply(From, {error, Reason}).

%% The ways into a binding and out of it: the worker has nothing in flight, then its state is put back.

-spec prepare(context(), #waiting{}, #state{}) -> #state{}.
prepare(Context, #waiting{from = {Owner, _}, monitor = Monitor, pool = Pool} = One, #state{bindings = Bindings} = State) ->
    true = ets:insert(?TABLE, {Context, Owner, Pool, false}),
    Binding = #binding{pool = Pool, owner = Owner, monitor = Monitor, phase = {preparing, One}},
    State#state{bindings = Bindings#{Context => emptied(Context, Binding)}}.

-spec ending(context(), #binding{}, #state{}) -> #state{}.
ending(_Context, #binding{phase = ending}, State) ->
    State;
ending(Context, #binding{monitor = Monitor, phase = Phase} = Binding, #state{bindings = Bindings} = State) ->
    true = demonitor(Monitor, [flush]),
    _ = [erlang:cancel_timer(Timer) || {preparing, #waiting{timer = Timer}} <- [Phase]],
    ok = py_nif:lease_end(Context),
    Ending = Binding#binding{phase = ending},
    Next = case Phase of bound -> emptied(Context, Ending); _ -> Ending end,
    State#state{bindings = Bindings#{Context := Next}}.

-spec emptied(context(), #binding{}) -> #binding{}.
emptied(Context, Binding) ->
    case py_nif:lease_idle(Context) of
        idle -> reset(Context, Binding);
        busy -> Binding
    end.

-spec reset(context(), #binding{}) -> #binding{}.
reset(Context, #binding{phase = {preparing, One}} = Binding) ->
    case py_nif:lease_hand_back(Context) of
        true ->
            %% What ran there when it was claimed has left an object with somebody.
            self() ! {handed_back, Context},
            Binding#binding{phase = {preparing, One#waiting{state = new}}};
        false ->
            put_state_back(Context, Binding)
    end;
reset(Context, Binding) ->
    put_state_back(Context, Binding).

-spec put_state_back(context(), #binding{}) -> #binding{}.
put_state_back(Context, Binding) ->
    {Ref, _} = py_request:async(Context, {reset}, ?RESET_LIMIT, py_options:of_node()),
    Binding#binding{reset = Ref}.

-spec put_back(reference(), ok | {error, term()}, #state{}) -> #state{}.
put_back(Ref, Outcome, #state{bindings = Bindings} = State) ->
    case [{C, B} || {C, #binding{reset = R} = B} <- maps:to_list(Bindings), R =:= Ref] of
        [{Context, Binding}] -> put_back(Context, Binding#binding{reset = none}, Outcome, State);
        [] -> State
    end.

-spec put_back(context(), #binding{}, ok | {error, term()}, #state{}) -> #state{}.
put_back(Context, #binding{phase = {preparing, One}} = Binding, ok, #state{bindings = Bindings} = State) ->
    #waiting{from = From, timer = Timer} = One,
    _ = erlang:cancel_timer(Timer),
    true = ets:update_element(?TABLE, Context, {4, true}),
    gen_server:reply(From, {ok, Context}),
    State#state{bindings = Bindings#{Context := Binding#binding{phase = bound}}};
put_back(Context, Binding, Outcome, State) ->
    %% A worker whose state cannot be put back is replaced.
    _ = [py_nif:worker_kill(Context, reset_failed) || Outcome =/= ok],
    ok = py_nif:lease_free(Context),
    over(Context, Binding, State).

%% The binding is no more; who waited for it waits again.
-spec over(context(), #binding{}, #state{}) -> #state{}.
over(Context, #binding{phase = Phase, pool = Pool}, #state{bindings = Bindings, waiting = Waiting} = State) ->
    ok = py_pool:notify(Pool, spare),
    true = ets:delete(?TABLE, Context),
    Again = [One || {preparing, One} <- [Phase]],
    serve(State#state{bindings = maps:remove(Context, Bindings), waiting = Again ++ Waiting}).
