%% @doc Events for metrics and traces, in the shape of the `telemetry' library, of which this needs nothing.
%%
%% A handler is attached to names of events and called with the event's name, measurements, metadata, and what it was attached with,
%% so that a bridge is one line:
%%
%% ```
%% ok = py_events:attach(bridge, py_events:names(), fun(Event, Measurements, Metadata, _) -> telemetry:execute(Event, Measurements, Metadata) end, none).
%% '''
%%
%% Nothing is told of calls that succeed in time, so they pay nothing. The table of handlers belongs to `py_sup'; handlers are gone when the
%% application stops.
-module(py_events).

-behaviour(gen_server).

-export([attach/4, detach/1, list/0, names/0]).
-export([wanted/1, emit/3, post/3, create_table/0, start_link/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-include_lib("kernel/include/logger.hrl").

-export_type([id/0, name/0, measurements/0, metadata/0, config/0, handler/0, attached/0]).

-type id() :: term().
-type name() :: [atom(), ...].
-type measurements() :: #{atom() => number()}.
-type metadata() :: #{atom() => term()}.
-type config() :: term().
-type handler() :: fun((name(), measurements(), metadata(), config()) -> term()) | module().
%% A module has the function `handle_event/4' of this behaviour.
-type attached() :: #{id := id(), events := [name()], handler := handler(), config := config()}.

%% Called for each event that the module is attached to: `[py, call, _]' in the calling process, `[py, call, slow]' and all others in one
%% process that has nothing else to do. An exception detaches the handler.
-callback handle_event(name(), measurements(), metadata(), config()) -> term().

-define(TABLE, ?MODULE).
%% Events that may wait for slow handlers; what comes beyond that is dropped.
-define(WAITING, 10000).

%% @doc Attaches a handler to events. `Id' is any term; one that is taken is refused.
-spec attach(id(), [name(), ...], handler(), config()) ->
    ok | {error, already_exists | not_started | {badarg, events | handler} | {unknown_event, term()}}.
attach(Id, Names, Handler, Config) ->
    case {ets:whereis(?TABLE), is_handler(Handler), check(Names)} of
        {undefined, _, _} -> {error, not_started};
        {_, false, _} -> {error, {badarg, handler}};
        {_, true, {error, _} = Error} -> Error;
        {_, true, ok} -> insert(Id, lists:usort(Names), Handler, Config)
    end.

-spec is_handler(term()) -> boolean().
is_handler(Fun) when is_function(Fun, 4) -> true;
is_handler(Module) when is_atom(Module) ->
    _ = code:ensure_loaded(Module),
    erlang:function_exported(Module, handle_event, 4);
is_handler(_) -> false.

-spec check(term()) -> ok | {error, {badarg, events} | {unknown_event, term()}}.
check([_ | _] = Names) when length(Names) > 0 ->
    case [Name || Name <- Names, not lists:member(Name, names())] of
        [] -> ok;
        [Name | _] -> {error, {unknown_event, Name}}
    end;
check(_) ->
    {error, {badarg, events}}.

%% The key of the handler comes last and decides: what is in the table of an attachment that lost is told from another by its reference.
-spec insert(id(), [name()], handler(), config()) -> ok | {error, already_exists}.
insert(Id, Names, Handler, Config) ->
    Ref = make_ref(),
    Rows = [{Name, Ref, Id, Handler, Config} || Name <- Names],
    true = ets:insert(?TABLE, Rows),
    case ets:insert_new(?TABLE, {{handler, Id}, Ref, Names, Handler, Config}) of
        true ->
            ok;
        false ->
            forget(Ref, Names),
            {error, already_exists}
    end.

%% @doc Detaches a handler. Who calls handlers at this moment may still call it.
-spec detach(id()) -> ok | {error, not_found}.
detach(Id) ->
    case ets:whereis(?TABLE) =/= undefined andalso ets:take(?TABLE, {handler, Id}) of
        [{_, Ref, Names, _, _}] -> forget(Ref, Names);
        _ -> {error, not_found}
    end.

-spec forget(reference(), [name()]) -> ok.
forget(Ref, Names) ->
    lists:foreach(fun(Name) -> ets:match_delete(?TABLE, {Name, Ref, '_', '_', '_'}) end, Names).

%% @doc The handlers that are attached.
-spec list() -> [attached()].
list() ->
    case ets:whereis(?TABLE) of
        undefined ->
            [];
        _ ->
            Found = ets:match_object(?TABLE, {{handler, '_'}, '_', '_', '_', '_'}),
            [#{id => Id, events => Names, handler => Handler, config => Config} || {{handler, Id}, _, Names, Handler, Config} <- lists:sort(Found)]
    end.

%% @doc All events that there are.
-spec names() -> [name(), ...].
names() ->
    [
        [py, call, exception], [py, call, timeout], [py, call, slow],
        [py, worker, start], [py, worker, ready], [py, worker, down], [py, worker, replaced], [py, worker, recycled],
        [py, pool, overloaded], [py, pool, failing], [py, pool, recovered]
    ].

%% @private Whether anybody wants to hear of an event.
-spec wanted(name()) -> boolean().
wanted(Name) ->
    handlers(Name) =/= [].

-spec handlers(name()) -> [tuple()].
handlers(Name) ->
    try
        ets:lookup(?TABLE, Name)
    catch
        %% The application is not running.
        error:badarg -> []
    end.

%% @private Calls the handlers of an event here.
-spec emit(name(), measurements(), metadata()) -> ok.
emit(Name, Measurements, Metadata) ->
    call_all(Name, at_this_time(Measurements), Metadata).

-spec call_all(name(), measurements(), metadata()) -> ok.
call_all(Name, Measurements, Metadata) ->
    lists:foreach(fun(Row) -> handle(Row, Name, Measurements, Metadata) end, handlers(Name)).

handle({_, _, Id, Handler, Config}, Name, Measurements, Metadata) ->
    try
        case Handler of
            Module when is_atom(Module) -> Module:handle_event(Name, Measurements, Metadata, Config);
            Fun -> Fun(Name, Measurements, Metadata, Config)
        end
    catch
        Class:Reason:Stack ->
            _ = detach(Id),
            ?LOG_ERROR("handler ~0tp of event ~0tp failed and was detached: ~0tp:~0tp~n~tp", [Id, Name, Class, Reason, Stack])
    end.

%% @private Has the handlers of an event called by a process of their own: a process with duties does not wait for them.
-spec post(name(), measurements(), metadata()) -> ok.
post(Name, Measurements, Metadata) ->
    case wanted(Name) andalso whereis(?MODULE) of
        Pid when is_pid(Pid) ->
            case process_info(Pid, message_queue_len) of
                {_, Length} when Length < ?WAITING -> gen_server:cast(Pid, {event, Name, at_this_time(Measurements), Metadata});
                _ -> ok
            end;
        _ ->
            ok
    end.

-spec at_this_time(measurements()) -> measurements().
at_this_time(Measurements) ->
    maps:merge(#{system_time => erlang:system_time(), monotonic_time => erlang:monotonic_time()}, Measurements).

%% @private
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, bag, {read_concurrency, true}]),
    ok.

%% @private
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @private
-spec init([]) -> {ok, none}.
init([]) ->
    {ok, none}.

%% @private
-spec handle_call(term(), gen_server:from(), none) -> {reply, {error, unknown_call}, none}.
handle_call(_Request, _From, State) ->
    {reply, {error, unknown_call}, State}.

%% @private
-spec handle_cast({event, name(), measurements(), metadata()}, none) -> {noreply, none}.
handle_cast({event, Name, Measurements, Metadata}, State) ->
    ok = call_all(Name, Measurements, Metadata),
    {noreply, State}.
