%% @doc Values shared by Erlang processes and all workers.
%%
%% They lie in one table of the node until they are removed or the application stops. Any term is a key; a string of
%% Python is a binary here.
-module(py_state).

-export([fetch/1, store/2, remove/1, keys/0, clear/0, incr/1, incr/2, decr/1, decr/2]).
-export([create_table/0]).

-define(TABLE, py_state).

%% @private Makes the table, owned by the calling process.
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, set, {write_concurrency, true}, {read_concurrency, true}]),
    ok.

%% @doc The value of a key.
-spec fetch(term()) -> {ok, term()} | {error, not_found}.
fetch(Key) ->
    case ets:lookup(?TABLE, Key) of
        [{_, Value}] -> {ok, Value};
        [] -> {error, not_found}
    end.

%% @doc Sets the value of a key.
-spec store(term(), term()) -> ok.
store(Key, Value) ->
    true = ets:insert(?TABLE, {Key, Value}),
    ok.

%% @doc Forgets a key.
-spec remove(term()) -> ok.
remove(Key) ->
    true = ets:delete(?TABLE, Key),
    ok.

%% @doc All keys, in no order.
-spec keys() -> [term()].
keys() ->
    ets:select(?TABLE, [{{'$1', '_'}, [], ['$1']}]).

%% @doc Forgets all keys.
-spec clear() -> ok.
clear() ->
    true = ets:delete_all_objects(?TABLE),
    ok.

%% @equiv incr(Key, 1)
-spec incr(term()) -> integer() | {error, not_an_integer}.
incr(Key) ->
    incr(Key, 1).

%% @doc Adds to a counter, which starts at 0, and returns its new value. Atomic.
-spec incr(term(), integer()) -> integer() | {error, not_an_integer}.
incr(Key, Amount) when is_integer(Amount) ->
    try
        ets:update_counter(?TABLE, Key, Amount, {Key, 0})
    catch
        error:badarg -> not_an_integer()
    end;
incr(_Key, _Amount) ->
    {error, not_an_integer}.

%% The other reason for a badarg is that there is no table.
-spec not_an_integer() -> {error, not_an_integer}.
not_an_integer() ->
    true = ets:info(?TABLE, type) =:= set,
    {error, not_an_integer}.

%% @equiv decr(Key, 1)
-spec decr(term()) -> integer() | {error, not_an_integer}.
decr(Key) ->
    incr(Key, -1).

%% @doc Subtracts from a counter, which starts at 0, and returns its new value. Atomic.
-spec decr(term(), integer()) -> integer() | {error, not_an_integer}.
decr(Key, Amount) when is_integer(Amount) ->
    incr(Key, -Amount);
decr(_Key, _Amount) ->
    {error, not_an_integer}.
