%% @doc Deadlines: what is left of a timeout, and the end of asynchronous requests.
%%
%% A timer of the runtime sends the handle of a request here when its time is over; a handle that was answered by then is left
%% alone.
-module(py_deadline).

-behaviour(gen_server).

-export([at/1, left/1]).
-export([start_link/0, set/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([moment/0]).

-type moment() :: infinity | integer().
%% Of the monotonic clock, in milliseconds.

%% @doc When a timeout that begins at the time of the call is over.
-spec at(timeout()) -> moment().
at(infinity) -> infinity;
at(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

%% @doc What is left until a deadline.
-spec left(moment()) -> timeout().
left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

%% @doc Starts the server.
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @doc After `Timeout' ms an unanswered `Handle' gets `{py_error, Handle, timeout}' and is cancelled.
-spec set(py_nif:handle(), non_neg_integer()) -> ok.
set(Handle, Timeout) ->
    _ = erlang:send_after(Timeout, ?MODULE, {deadline, Handle}),
    ok.

%% @private
-spec init([]) -> {ok, nil}.
init([]) ->
    {ok, nil}.

%% @private
-spec handle_call(term(), gen_server:from(), nil) -> {reply, {error, unknown_call}, nil}.
handle_call(_Call, _From, State) ->
    {reply, {error, unknown_call}, State}.

%% @private
-spec handle_cast(term(), nil) -> {noreply, nil}.
handle_cast(_Cast, State) ->
    {noreply, State}.

%% @private
-spec handle_info(term(), nil) -> {noreply, nil}.
handle_info({deadline, Handle}, State) ->
    _ = py_nif:cancel(Handle, timeout),
    {noreply, State};
handle_info(_Info, State) ->
    {noreply, State}.
