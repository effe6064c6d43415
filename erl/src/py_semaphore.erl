%% @doc The bound on concurrent requests of the node (`max_concurrent').
%%
%% Every `call', `eval', `exec' and `call_async' holds a permit while it is in flight. Programs may take permits
%% of their own, to keep room for other work; such a permit is freed when its process ends.
-module(py_semaphore).

-export([acquire/1, release/0, current/0, max_concurrent/0, set_max_concurrent/1]).

%% The longest time that a receive waits, and more requests than there can be.
-define(MAX, 16#ffffffff).

%% @doc Takes a permit for the calling process; waits for at most `Timeout' ms.
-spec acquire(timeout()) -> ok | {error, max_concurrent | {badarg, timeout}}.
acquire(Timeout) when Timeout =:= infinity; is_integer(Timeout), Timeout >= 0, Timeout =< ?MAX ->
    granted(py_nif:acquire(), py_deadline:at(Timeout));
acquire(_) ->
    {error, {badarg, timeout}}.

-spec granted(ok | {wait, py_nif:token()}, py_deadline:moment()) -> ok | {error, max_concurrent}.
granted(ok, _Deadline) ->
    ok;
granted({wait, Token}, Deadline) ->
    receive
        {py_go, Token} -> granted(py_nif:acquire(Token), Deadline)
    after py_deadline:left(Deadline) ->
        ok = py_request:leave(Token),
        {error, max_concurrent}
    end.

%% @doc Gives back a permit that the calling process took.
-spec release() -> ok.
release() ->
    py_nif:release().

%% @doc Permits in use.
-spec current() -> non_neg_integer().
current() ->
    py_nif:permits().

%% @doc The bound.
-spec max_concurrent() -> pos_integer().
max_concurrent() ->
    py_nif:max_permits().

%% @doc Changes the bound; requests in flight keep their permits.
-spec set_max_concurrent(pos_integer()) -> ok | {error, {badarg, max_concurrent}}.
set_max_concurrent(Max) when is_integer(Max), Max > 0, Max =< ?MAX ->
    py_nif:set_max_permits(Max);
set_max_concurrent(_) ->
    {error, {badarg, max_concurrent}}.
