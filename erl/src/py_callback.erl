%% @doc Erlang functions that Python can call.
%%
%% A reader thread of the native layer sends each call here; each runs in a process of its own, with `$callers' set to
%% the process whose request runs in Python. A function that ends without an answer, even by being killed, is an error in Python.
-module(py_callback).

-behaviour(gen_server).

-export([register/2, unregister/1, lookup/1]).
-export([start_link/0, create_table/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([target/0]).

-include_lib("kernel/include/logger.hrl").

-define(TABLE, py_callbacks).
%% Text of an error that reaches Python.
-define(MAX_TEXT, 900).

-define(IDLE, 1000).

-type target() :: fun(([term()]) -> term()) | {module(), atom()}.
%% Called with the list of the arguments.
-type state() :: #{reference() => py_nif:call()}.

%% @doc Makes a function callable by name; a name that is taken gets the new function.
-spec register(py:name(), target()) -> ok | {error, {badarg, name | function} | not_started}.
register(Name, Target) ->
    case {name(Name), is_target(Target)} of
        {{ok, Key}, true} -> insert(Key, Target);
        {error, _} -> {error, {badarg, name}};
        {_, false} -> {error, {badarg, function}}
    end.

-spec insert(binary(), target()) -> ok | {error, not_started}.
insert(Key, Target) ->
    try ets:insert(?TABLE, {Key, Target}) of
        true -> ok
    catch
        error:badarg -> {error, not_started}
    end.

%% @doc Forgets a name; calls that run go on.
-spec unregister(py:name()) -> ok | {error, {badarg, name} | not_started}.
unregister(Name) ->
    case name(Name) of
        {ok, Key} ->
            try ets:delete(?TABLE, Key) of
                true -> ok
            catch
                error:badarg -> {error, not_started}
            end;
        error ->
            {error, {badarg, name}}
    end.

%% @doc What is registered under a name.
-spec lookup(py:name()) -> {ok, target()} | {error, not_found | {badarg, name}}.
lookup(Name) ->
    case name(Name) of
        {ok, Key} -> find(Key);
        error -> {error, {badarg, name}}
    end.

-spec find(binary()) -> {ok, target()} | {error, not_found}.
find(Key) ->
    try ets:lookup(?TABLE, Key) of
        [{_, Target}] -> {ok, Target};
        [] -> {error, not_found}
    catch
        error:badarg -> {error, not_found}
    end.

-spec is_target(term()) -> boolean().
is_target(Fun) when is_function(Fun, 1) -> true;
is_target({Module, Function}) -> is_atom(Module) andalso is_atom(Function);
is_target(_) -> false.

-spec name(term()) -> {ok, binary()} | error.
name(Name) when is_atom(Name) -> {ok, atom_to_binary(Name)};
name(Name) when is_binary(Name), Name =/= <<>> -> {ok, Name};
name([_ | _] = Name) -> py_text:utf8(Name);
name(_) -> error.

%% @private Makes the table, owned by the calling process.
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, set, {read_concurrency, true}]),
    ok.

%% @private Starts the server.
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @private
-spec init([]) -> {ok, state()}.
init([]) ->
    {ok, #{}}.

%% @private
-spec handle_call(term(), gen_server:from(), state()) -> {reply, {error, unknown_call}, state()}.
handle_call(_Call, _From, State) ->
    {reply, {error, unknown_call}, State}.

%% @private
-spec handle_cast(term(), state()) -> {noreply, state()}.
handle_cast(_Cast, State) ->
    {noreply, State}.

%% @private
-spec handle_info(term(), state()) -> {noreply, state()} | {noreply, state(), timeout() | hibernate}.
handle_info({py_callback, Call, Kind, Caller, Own, Name, Args}, State) ->
    {_, Monitor} = spawn_monitor(fun() -> run(Call, Kind, Caller, Own, Name, Args) end),
    {noreply, State#{Monitor => Call}};
handle_info({'DOWN', Monitor, process, _, normal}, State) ->
    removed(maps:remove(Monitor, State));
handle_info({'DOWN', Monitor, process, _, Reason}, State) ->
    case maps:take(Monitor, State) of
        {Call, Rest} ->
            %% Has no effect if the function had answered.
            ok = reply(Call, {error, text(exit, Reason)}),
            removed(Rest);
        error ->
            {noreply, State}
    end;
handle_info({py_send, To, Message}, State) ->
    _ = send(To, Message),
    {noreply, State};
handle_info(timeout, State) ->
    {noreply, State, hibernate};
handle_info(_Info, State) ->
    {noreply, State}.

%% A server with nothing to do keeps no garbage: that could hold the memory of a worker that is gone.
-spec removed(state()) -> {noreply, state()} | {noreply, state(), timeout()}.
removed(State) when map_size(State) =:= 0 -> {noreply, State, ?IDLE};
removed(State) -> {noreply, State}.

-spec send(term(), term()) -> ok.
send(To, Message) when is_pid(To) ->
    case erlang:send(To, Message, [noconnect]) of
        ok -> ok;
        %% Connecting may take long.
        noconnect -> _ = spawn(fun() -> To ! Message end), ok
    end;
send(To, _Message) ->
    ?LOG_WARNING("erlang.send: nobody has the name ~0tP", [To, 20]).

%% One call, in its own process.

-spec run(py_nif:call(), internal | registered, pid() | undefined, undefined | {bound, py_nif:lease()} | py_nif:worker(), term(), [term()]) -> ok.
run(Call, Kind, Caller, Own, Name, Args) ->
    ok = py_nif:callback_enter(Call),
    _ = put('$callers', [Pid || Pid <- [Caller], is_pid(Pid)]),
    ok = py_route:inherit(Own),
    Result =
        try apply_target(Kind, Name, Args, Caller) of
            {ok, _} = Ok -> Ok;
            {error, Text} -> {error, Text}
        catch
            Class:Reason -> {error, text(Class, Reason)}
        end,
    reply(Call, Result).

-spec apply_target(internal | registered, term(), [term()], pid() | undefined) -> {ok, term()} | {error, binary()}.
apply_target(registered, Name, Args, _Caller) ->
    case find(Name) of
        {ok, {Module, Function}} -> {ok, Module:Function(Args)};
        {ok, Fun} -> {ok, Fun(Args)};
        {error, not_found} -> {error, bounded(unicode:characters_to_binary(io_lib:format("Function '~ts' not registered", [Name])))}
    end;
apply_target(internal, Name, Args, Caller) ->
    case internal(Name, Args, Caller) of
        {error, Reason} -> {error, text(error, Reason)};
        Value -> {ok, Value}
    end.

%% What module erlang of Python needs of the node.
-spec internal(binary(), [term()], pid() | undefined) ->
    boolean() | pid() | port() | undefined | none | integer() | [term()] | {error, not_an_integer}.
internal(<<"registered">>, [Name], _) -> element(1, find(Name)) =:= ok;
internal(<<"self">>, [], Caller) -> Caller;
internal(<<"whereis">>, [Name], _) -> whereis_name(Name);
internal(<<"state_get">>, [Key], _) -> found(py_state:fetch(Key));
internal(<<"state_set">>, [Key, Value], _) -> done(py_state:store(Key, Value));
internal(<<"state_delete">>, [Key], _) -> done(py_state:remove(Key));
internal(<<"state_keys">>, [], _) -> py_state:keys();
internal(<<"state_clear">>, [], _) -> done(py_state:clear());
internal(<<"state_incr">>, [Key, Amount], _) -> py_state:incr(Key, Amount);
internal(<<"state_decr">>, [Key, Amount], _) -> py_state:decr(Key, Amount).

%% A value in a list, so that a stored None differs from nothing.
-spec found({ok, term()} | {error, not_found}) -> [term()].
found({ok, Value}) -> [Value];
found({error, not_found}) -> [].

-spec done(ok) -> none.
done(ok) -> none.

-spec whereis_name(binary()) -> pid() | port() | undefined.
whereis_name(Name) ->
    try binary_to_existing_atom(Name) of
        Atom -> whereis(Atom)
    catch
        error:badarg -> undefined
    end.

-spec reply(py_nif:call(), {ok, term()} | {error, binary()}) -> ok.
reply(Call, Result) ->
    case py_nif:callback_reply(Call, Result) of
        ok -> ok;
        large -> reply_dirty(Call, Result);
        {error, Reason} -> refused(Call, Reason)
    end.

-spec reply_dirty(py_nif:call(), {ok, term()} | {error, binary()}) -> ok.
reply_dirty(Call, Result) ->
    case py_nif:callback_reply_dirty(Call, Result) of
        ok -> ok;
        {error, Reason} -> refused(Call, Reason)
    end.

%% There is no Python object for the value.
-spec refused(py_nif:call(), term()) -> ok.
refused(Call, Reason) ->
    ok = py_nif:callback_reply(Call, {error, text(error, Reason)}).

-spec text(atom(), term()) -> binary().
text(Class, Reason) ->
    bounded(unicode:characters_to_binary(io_lib:format("~s: ~0tp", [Class, Reason], [{chars_limit, ?MAX_TEXT div 4}]))).

%% Cut between two characters.
-spec bounded(binary()) -> binary().
bounded(Text) when byte_size(Text) =< ?MAX_TEXT -> Text;
bounded(Text) -> unicode:characters_to_binary(string:slice(Text, 0, ?MAX_TEXT div 4)).
