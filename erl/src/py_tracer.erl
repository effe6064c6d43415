%% @doc Spans that Python has ended.
%%
%% A reader thread of the native layer sends each span here, before it sends the answer of the call in which it ended. The last
%% 10000 spans are kept; at most 8 MiB of them wait to be taken, and what comes beyond that is dropped, which a summary in
%% the log says.
-module(py_tracer).

-behaviour(gen_server).

-export([enable/0, disable/0, spans/0, clear/0]).
-export([start_link/0, create_table/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([span/0]).

-include_lib("kernel/include/logger.hrl").

-type span() :: #{
    span_id := non_neg_integer(),
    parent_id := non_neg_integer() | undefined,
    name := binary(),
    start_time := integer(),
    end_time := integer(),
    start_monotonic := integer(),
    end_monotonic := integer(),
    duration_us := integer(),
    status := ok | error,
    exception => {Type :: binary(), Message :: binary()},
    attributes := #{term() => term()},
    events := [#{name := binary(), time := integer(), attributes := #{term() => term()}}],
    pid := pid() | undefined,
    worker := non_neg_integer(),
    os_pid := non_neg_integer()
}.
%% Times are nanoseconds: of the epoch, and of the machine's monotonic clock. `pid' is the process whose call ran the span.

-define(TABLE, py_spans).
-define(MAX_SPANS, 10000).
%% Bytes of kept spans as they were encoded.
-define(MAX_BYTES, 64 * 1024 * 1024).
-define(TIMEOUT, 30000).
-define(ON, <<"__import__('erlang')._tracing = True">>).
-define(OFF, <<"__import__('erlang')._tracing = False">>).
-define(LOOK, 1000).

-define(IS_TIME(Time), (is_integer(Time) andalso Time > -(1 bsl 64) andalso Time < 1 bsl 64)).

-record(state, {next :: pos_integer(), kept = 0 :: non_neg_integer(), senseless = 0 :: non_neg_integer()}).

%% @doc Workers of the common pools, present and future, send their spans.
-spec enable() -> ok | py_everywhere:failure().
enable() ->
    py_exec_log:set(tracing, {exec, ?ON}, {exec, ?OFF}, ?TIMEOUT).

%% @doc They send none.
-spec disable() -> ok | py_everywhere:failure().
disable() ->
    py_exec_log:unset(tracing, ?TIMEOUT).

%% @doc The spans that are kept, in the order of their ends.
-spec spans() -> {ok, [span()]} | {error, not_started}.
spans() ->
    case call(flush) of
        ok -> {ok, [Span || {_, _, Span} <- ets:tab2list(?TABLE)]};
        {error, _} = Error -> Error
    end.

%% @doc Forgets all spans.
-spec clear() -> ok | {error, not_started}.
clear() ->
    call(clear).

-spec call(flush | clear) -> ok | {error, not_started}.
call(Request) ->
    try
        gen_server:call(?MODULE, Request, infinity)
    catch
        exit:{noproc, _} -> {error, not_started}
    end.

%% @doc Makes the table, owned by the calling process.
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, ordered_set]),
    ok.

%% @doc Starts the server.
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @private
-spec init([]) -> {ok, #state{}}.
init([]) ->
    _ = py_nif:observe_open(?MODULE),
    Next = case ets:last(?TABLE) of '$end_of_table' -> 1; Last -> Last + 1 end,
    {ok, #state{next = Next, kept = lists:sum(ets:select(?TABLE, [{{'_', '$1', '_'}, [], ['$1']}]))}}.

%% @private
-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}, 0}.
handle_call(flush, _From, State) ->
    {reply, ok, State, 0};
handle_call(clear, _From, State) ->
    true = ets:delete_all_objects(?TABLE),
    {reply, ok, State#state{kept = 0}, 0};
handle_call(_Call, _From, State) ->
    {reply, {error, unknown_call}, State, 0}.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}, 0}.
handle_cast(_Cast, State) ->
    {noreply, State, 0}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {noreply, #state{}, 0}.
handle_info({py_event, Epoch, Cost, Caller, Worker, OsPid, Event}, #state{next = Next, senseless = Senseless} = State) ->
    ok = py_nif:observe_done(?MODULE, Epoch, Cost),
    case span(Event) of
        {ok, Span} ->
            true = ets:insert(?TABLE, {Next, Cost, Span#{pid => Caller, worker => Worker, os_pid => OsPid}}),
            Counted = State#state{next = Next + 1, kept = trim(State#state.kept + Cost)},
            case Next rem ?LOOK of
                0 -> {noreply, tell_dropped(Counted), 0};
                _ -> {noreply, Counted, 0}
            end;
        error ->
            {noreply, State#state{senseless = Senseless + 1}, 0}
    end;
handle_info(timeout, State) ->
    {noreply, tell_dropped(State)};
handle_info(_Info, State) ->
    {noreply, State, 0}.

%% The oldest spans go.
-spec trim(non_neg_integer()) -> non_neg_integer().
trim(Kept) ->
    case Kept > ?MAX_BYTES orelse ets:info(?TABLE, size) > ?MAX_SPANS of
        true ->
            [{_, Cost, _}] = ets:take(?TABLE, ets:first(?TABLE)),
            trim(Kept - Cost);
        false ->
            Kept
    end.

-spec tell_dropped(#state{}) -> #state{}.
tell_dropped(#state{senseless = Senseless} = State) ->
    _ = [?LOG_WARNING("Python ends spans faster than they can be kept: ~b were dropped", [N]) || N <- [py_nif:observe_dropped(?MODULE)], N > 0],
    _ = [?LOG_WARNING("~b spans of workers made no sense and were dropped", [Senseless]) || Senseless > 0],
    State#state{senseless = 0}.

%% Nothing of a span is believed: a worker can write what it likes.
span({Id, Parent, Name, Wall, Start, End, Error, Attributes, Events}) when
    is_integer(Id), Id >= 0, is_integer(Parent) orelse Parent =:= none, is_binary(Name), ?IS_TIME(Wall), ?IS_TIME(Start),
    ?IS_TIME(End), is_map(Attributes), is_list(Events)
->
    %% Both clocks were read at the start.
    Offset = Wall - Start,
    Span = #{
        span_id => Id,
        parent_id => case Parent of none -> undefined; _ -> Parent end,
        name => Name,
        start_time => Wall,
        end_time => End + Offset,
        start_monotonic => Start,
        end_monotonic => End,
        duration_us => (End - Start) div 1000,
        attributes => Attributes,
        events => [#{name => N, time => At + Offset, attributes => A} || {N, At, A} <- Events, is_binary(N), ?IS_TIME(At), is_map(A)]
    },
    case Error of
        none -> {ok, Span#{status => ok}};
        {Type, Message} when is_binary(Type), is_binary(Message) -> {ok, Span#{status => error, exception => Error}};
        _ -> error
    end;
span(_) ->
    error.
