%% @doc Where work goes: the worker that the calling process is bound or tied to, the pool that an option names, the one that
%% {@link py_pools_of} has for it, or pool `default'.
-module(py_route).

-export([sync/1, sync/2, sync/4, async/2, cast/2, exec/2, untie/0, bound/0, set_bound/1, inherit/1]).
-export([on_loop/2, on_loop/3, sync_on_loop/2, loop_worker/3, leave/1, is_own/1]).
-export([stream/3]).

-define(DEFAULT_TIMEOUT, 30000).
%% The worker that a process has for itself.
-define(BINDING, '$py_binding').
%% The worker that a process keeps going to after py:exec/1.
-define(AFFINITY, '$py_affinity').

%% @doc Runs a request and waits for its answer, with the default timeout.
-spec sync(py_nif:request()) -> py:result().
sync(Request) ->
    case own() of
        undefined ->
            case persistent_term:get({py_pool, default}, undefined) of
                undefined -> {error, not_started};
                {_PoolsOf, _} -> sync(Request, ?DEFAULT_TIMEOUT, 0, undefined);
                Pool -> py_request:sync(Pool, Request, ?DEFAULT_TIMEOUT, 0)
            end;
        Lease ->
            seen(py_request:sync(Lease, Request, ?DEFAULT_TIMEOUT, py_options:any_handles()))
    end.

%% What the calling process is bound or tied to.
-spec own() -> undefined | py_nif:lease() | py_nif:worker().
own() ->
    case get(?BINDING) of
        undefined -> get(?AFFINITY);
        Binding -> Binding
    end.

%% @doc As {@link sync/1}, with the options of the caller.
-spec sync(py_nif:request(), py:options()) -> py:result().
sync(Request, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, Name}} -> sync(Request, Timeout, Flags, Name);
        {error, _} = Error -> Error
    end.

%% @doc As {@link sync/2}, with options that are parsed already.
-spec sync(py_nif:request(), timeout(), non_neg_integer(), undefined | atom()) -> py:result().
sync(Request, Timeout, Flags, Name) ->
    case target(Name, Request) of
        {own, Target} -> seen(py_request:sync(Target, Request, Timeout, Flags bor py_options:any_handles()));
        {named, Pool} -> py_request:sync(Pool, Request, Timeout, Flags);
        {error, _} = Error -> Error
    end.

%% @doc Submits a request whose answer comes as a message.
-spec async(py_nif:request(), py:options()) -> reference().
async(Request, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, Name}} ->
            case target(Name, Request) of
                {own, Target} -> sent(py_request:async(Target, Request, Timeout, Flags bor py_options:any_handles()));
                {named, Pool} -> sent(py_request:async(Pool, Request, Timeout, Flags));
                {error, Reason} -> py_request:refused(Reason)
            end;
        {error, Reason} ->
            py_request:refused(Reason)
    end.

%% @doc As {@link async/2}, answered with `py_result', for work of an event loop: that of the worker that the calling process
%% is bound or tied to, or of pool `async'.
-spec on_loop(py_nif:request(), py:options()) -> reference().
on_loop(Request, Options) ->
    on_loop(Request, Request, Options).

%% @doc As {@link on_loop/2}, where the pool is that of other work, for which the request stands.
-spec on_loop(py_nif:request(), py_pools_of:work(), py:options()) -> reference().
on_loop(Request, Work, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, Name}} ->
            case loop_target(Name, Work) of
                {ok, Target, More} -> sent(py_request:async(Target, Request, py_result, Timeout, Flags bor More));
                {error, Reason} -> py_request:refused(Reason)
            end;
        {error, Reason} ->
            py_request:refused(Reason)
    end.

%% @doc As {@link on_loop/2}; waits for the answer.
-spec sync_on_loop(py_nif:request(), py:options()) -> py:result().
sync_on_loop(Request, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, Name}} ->
            case loop_target(Name, Request) of
                {ok, Target, More} -> seen(py_request:sync(Target, Request, Timeout, Flags bor More));
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%% Where work of an event loop goes, and the flags that it needs there.
-spec loop_target(undefined | atom(), py_pools_of:work()) -> {ok, py_nif:target(), non_neg_integer()} | {error, term()}.
loop_target(Name, Work) ->
    Async = py_options:async(),
    case {Name, own()} of
        {undefined, undefined} ->
            case py_pool:ensure(py_pools_of:of_request(Work, async)) of
                {ok, Pool} -> {ok, Pool, Async bor py_options:any_handles()};
                {error, _} = Error -> Error
            end;
        {undefined, Lease} ->
            {ok, Lease, Async bor py_options:any_handles()};
        _ ->
            case py_pool:ensure(Name) of
                {ok, Pool} -> {ok, Pool, Async};
                {error, _} = Error -> Error
            end
    end.

%% @doc The worker for work of an event loop, and the flags that it needs there, to be left with {@link leave/1}; waits for one if there is none.
-spec loop_worker(undefined | atom(), py_pools_of:work(), timeout()) -> {ok, py_nif:target(), non_neg_integer()} | {error, term()}.
loop_worker(Name, Work, Timeout) ->
    case {Name, own(), loop_target(Name, Work)} of
        {undefined, Lease, {ok, Lease, _} = Found} ->
            Found;
        {_, _, {ok, Pool, Flags}} ->
            Chosen = case Name of undefined -> py_pools_of:of_request(Work, async); _ -> Name end,
            one_of(py_nif:tie(Pool), Chosen, Timeout, Flags);
        {_, _, {error, _} = Error} ->
            Error
    end.

one_of({ok, Tie}, _Name, _Timeout, Flags) ->
    {ok, Tie, Flags};
one_of({error, no_worker}, Name, Timeout, Flags) ->
    case py_pool:await_worker(Name, Timeout) of
        ok ->
            case py_pool:ensure(Name) of
                {ok, Pool} -> one_of(py_nif:tie(Pool), Name, Timeout, Flags);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%% @doc Ends the tie of {@link loop_worker/3}, unless it is the calling process's own.
-spec leave(py_nif:target()) -> ok.
leave(Target) ->
    case is_own(Target) of
        true -> ok;
        false -> py_nif:untie(Target)
    end.

%% @doc Whether a target is what the calling process is bound or tied to.
-spec is_own(py_nif:target()) -> boolean().
is_own(Target) ->
    own() =:= Target.

-spec sent({reference(), submitted | {refused, py:reason()}}) -> reference().
sent({Ref, submitted}) ->
    Ref;
sent({Ref, {refused, Reason}}) ->
    _ = seen({error, Reason}),
    Ref.

%% @doc Submits a request whose items come as messages.
-spec stream(py_nif:request(), pos_integer() | infinity, py_options:parsed()) -> {ok, reference()} | {error, py:reason()}.
stream(Request, Credit, {Timeout, Flags, Name}) ->
    case target(Name, Request) of
        {own, Target} -> seen(py_request:stream(Target, Request, Credit, Timeout, Flags bor py_options:any_handles()));
        {named, Pool} -> py_request:stream(Pool, Request, Credit, Timeout, Flags);
        {error, _} = Error -> Error
    end.

%% @doc Submits a request whose outcome nobody wants. It has no deadline.
-spec cast(py_nif:request(), py:options()) -> ok | {error, term()}.
cast(_Request, #{timeout := _}) ->
    {error, {bad_option, timeout}};
cast(_Request, Options) when not is_map(Options) ->
    {error, {badarg, options}};
cast(Request, Options) ->
    case py_options:parse(Options) of
        {ok, {_Timeout, Flags, Name}} ->
            case target(Name, Request) of
                {own, Target} -> seen(py_request:cast(Target, Request, Flags bor py_options:any_handles()));
                {named, Pool} -> py_request:cast(Pool, Request, Flags);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%% @doc As {@link sync/2}; unless the options name a pool, the calling process keeps going to the worker from here on.
-spec exec(py_nif:request(), py:options()) -> py:result().
exec(Request, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, undefined}} ->
            case tie(Timeout) of
                {ok, Lease} -> seen(py_request:sync(Lease, Request, Timeout, Flags));
                {error, _} = Error -> Error
            end;
        {ok, {Timeout, Flags, Name}} ->
            sync(Request, Timeout, Flags, Name);
        {error, _} = Error ->
            Error
    end.

%% What the calling process is bound or tied to, from here on if it was not yet.
-spec tie(timeout()) -> {ok, py_nif:target()} | {error, py:reason()}.
tie(Timeout) ->
    case {own(), py_pool:native(default)} of
        {undefined, undefined} -> {error, not_started};
        {undefined, Pool} -> tie(py_nif:tie(Pool), Timeout);
        {Lease, _} -> {ok, Lease}
    end.

-spec tie({ok, py_nif:lease()} | {error, no_worker}, timeout()) -> {ok, py_nif:target()} | {error, py:reason()}.
tie({ok, Lease}, _Timeout) ->
    _ = put(?AFFINITY, Lease),
    {ok, Lease};
tie({error, no_worker}, Timeout) ->
    case py_pool:await_worker(default, Timeout) of
        ok -> tie(Timeout);
        {error, _} = Error -> Error
    end.

%% @doc Ends what {@link exec/2} began.
-spec untie() -> ok.
untie() ->
    case erase(?AFFINITY) of
        undefined -> ok;
        Lease -> py_nif:untie(Lease)
    end.

%% @doc The binding of the calling process.
-spec bound() -> undefined | py_nif:lease().
bound() ->
    get(?BINDING).

%% @doc Changes the binding of the calling process; the one before.
-spec set_bound(undefined | py_nif:lease()) -> undefined | py_nif:lease().
set_bound(undefined) -> erase(?BINDING);
set_bound(Binding) -> put(?BINDING, Binding).

%% @doc The process that runs an Erlang function for Python goes to the worker that its caller is bound or tied to.
-spec inherit(undefined | {bound, py_nif:lease()} | py_nif:worker()) -> ok.
inherit(undefined) ->
    ok;
inherit({bound, Binding}) ->
    _ = put(?BINDING, Binding),
    ok;
inherit(Worker) ->
    _ = put(?AFFINITY, Worker),
    ok.

-spec target(undefined | atom(), py_nif:request()) -> {own, py_nif:target()} | {named, py_nif:pool()} | {error, term()}.
target(undefined, Request) ->
    case own() of
        undefined ->
            case persistent_term:get({py_pool, default}, undefined) of
                undefined -> {error, not_started};
                {PoolsOf, Pool} -> preferred(py_pools_of:pool(Request, PoolsOf), Pool);
                Pool -> {own, Pool}
            end;
        Lease ->
            {own, Lease}
    end;
target(Name, _Request) ->
    case py_pool:ensure(Name) of
        {ok, Pool} -> {named, Pool};
        {error, _} = Error -> Error
    end.

%% As with pool `default', objects among the arguments lead elsewhere.
-spec preferred(undefined | atom(), py_nif:pool()) -> {own, py_nif:pool()} | {error, term()}.
preferred(undefined, Default) ->
    {own, Default};
preferred(Name, _Default) ->
    case py_pool:ensure(Name) of
        {ok, Pool} -> {own, Pool};
        {error, _} = Error -> Error
    end.

%% Binding and tie end with the worker.
-spec seen(Result) -> Result when Result :: ok | py:result().
seen({error, {worker_down, _}} = Error) ->
    %% It may have been the worker of a handle that ended.
    case own() of
        undefined -> ok;
        Lease ->
            case py_nif:alive(Lease) of
                true -> ok;
                false -> forget(get(?BINDING))
            end
    end,
    Error;
seen(Result) ->
    Result.

-spec forget(undefined | py_nif:lease()) -> ok.
forget(undefined) ->
    untie();
forget(Binding) ->
    _ = erase(?BINDING),
    py_context:release(Binding).
