%% @doc Many calls side by side.
%%
%% A process of its own submits and collects, so that the caller's mailbox is neither filled nor searched. Only a window
%% of the calls is in flight at a time: enough to keep every worker busy, little enough for any number of calls.
-module(py_parallel).

-export([run/2]).

-record(state, {
    pool :: py_nif:pool(),
    flags :: pos_integer(),
    window :: pos_integer(),
    owner :: reference(),
    todo :: [{non_neg_integer(), term()}],
    turn = none :: none | {py_nif:token(), non_neg_integer(), py_nif:request()},
    flying = #{} :: #{py_nif:handle() => non_neg_integer()},
    results = #{} :: #{non_neg_integer() => {ok, term()} | {error, term()}}
}).

%% @doc Results in the order of the calls. Blocks the calling process for at most the timeout.
-spec run([term()], py:options()) -> {ok, [py:result()]} | {error, py:reason()}.
run(Calls, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, Name}} ->
            case py_pool:ensure(case Name of undefined -> py_pools_of:of_request({calls, Calls}, parallel); _ -> Name end) of
                {ok, Pool} -> run(Pool, Calls, Timeout, Flags);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

-spec run(py_nif:pool(), [term()], timeout(), non_neg_integer()) ->
    {ok, [{ok, term()} | {error, term()}]} | {error, {badarg, calls}}.
run(Pool, Calls, Timeout, Flags) ->
    try length(Calls) of
        Count -> start(Pool, Calls, Count, Timeout, Flags bor py_options:no_permit() bor py_options:no_handles())
    catch
        error:badarg -> {error, {badarg, calls}}
    end.

-spec start(py_nif:pool(), [term()], non_neg_integer(), timeout(), pos_integer()) -> {ok, [term()]}.
start(Pool, Calls, Count, Timeout, Flags) ->
    Caller = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        #{workers := Workers} = py_nif:pool_info(Pool),
        State = #state{
            pool = Pool,
            flags = Flags,
            window = 4 * max(1, Workers) + 2,
            owner = monitor(process, Caller),
            todo = lists:zip(lists:seq(1, Count), Calls)
        },
        _ = [erlang:send_after(Timeout, self(), out_of_time) || is_integer(Timeout)],
        Results = loop(State),
        exit({results, [maps:get(N, Results, {error, timeout}) || N <- lists:seq(1, Count)]})
    end),
    receive
        {'DOWN', Monitor, process, Pid, {results, Results}} -> {ok, Results};
        {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
    end.

-spec loop(#state{}) -> #{non_neg_integer() => {ok, term()} | {error, term()}}.
loop(#state{todo = [{Number, Call} | Rest], turn = none, flying = Flying, window = Window} = State) when map_size(Flying) < Window ->
    case request(Call) of
        {error, _} = Error -> loop(result(Number, Error, State#state{todo = Rest}));
        Request -> loop(submit(0, Number, Request, State#state{todo = Rest}))
    end;
loop(#state{todo = [], turn = none, flying = Flying, results = Results}) when map_size(Flying) =:= 0 ->
    Results;
loop(#state{flying = Flying, owner = Owner, turn = Turn} = State) ->
    receive
        {py_response, Handle, Result} when is_map_key(Handle, Flying) -> loop(landed(Handle, Result, State));
        {py_error, Handle, Reason} when is_map_key(Handle, Flying) -> loop(landed(Handle, {error, Reason}, State));
        {py_go, Token} when element(1, Turn) =:= Token ->
            {_, Number, Request} = Turn,
            loop(submit(Token, Number, Request, State#state{turn = none}));
        out_of_time ->
            ok = abandon(State),
            State#state.results;
        {'DOWN', Owner, process, _, _} ->
            ok = abandon(State),
            exit(normal)
    end.

-spec submit(0 | py_nif:token(), non_neg_integer(), py_nif:request(), #state{}) -> #state{}.
submit(Token, Number, Request, #state{pool = Pool, flags = Flags, flying = Flying} = State) ->
    case publish(Pool, Request, Flags, Token) of
        {wait, Next} -> State#state{turn = {Next, Number, Request}};
        {ok, _} = Ok -> result(Number, Ok, State);
        {error, _} = Error -> result(Number, Error, State);
        Handle when is_reference(Handle) -> State#state{flying = Flying#{Handle => Number}}
    end.

-spec publish(py_nif:pool(), py_nif:request(), pos_integer(), 0 | py_nif:token()) -> py_nif:outcome().
publish(Pool, Request, Flags, Token) ->
    case py_nif:submit(Pool, Request, py_response, Flags, Token) of
        large -> py_nif:submit_dirty(Pool, Request, py_response, Flags, Token);
        Outcome -> Outcome
    end.

-spec landed(py_nif:handle(), {ok, term()} | {error, term()}, #state{}) -> #state{}.
landed(Handle, Result, #state{flying = Flying} = State) ->
    {Number, Left} = maps:take(Handle, Flying),
    result(Number, Result, State#state{flying = Left}).

-spec result(non_neg_integer(), {ok, term()} | {error, term()}, #state{}) -> #state{}.
result(Number, Result, #state{results = Results} = State) ->
    State#state{results = Results#{Number => Result}}.

-spec abandon(#state{}) -> ok.
abandon(#state{flying = Flying, turn = Turn}) ->
    _ = [py_nif:cancel(Handle) || Handle <- maps:keys(Flying)],
    case Turn of
        {Token, _, _} -> py_request:leave(Token);
        none -> ok
    end.

-spec request(term()) -> py_nif:request() | {error, {badarg, term()}}.
request({Module, Function, Args}) -> {call, Module, Function, Args, []};
request({Module, Function, Args, Kwargs}) -> {call, Module, Function, Args, Kwargs};
request(Other) -> {error, {badarg, Other}}.
