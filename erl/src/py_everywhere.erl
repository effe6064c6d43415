%% @doc What functions mean that reach every worker: those of the pools `default', `async' and `parallel', or those of one pool.
-module(py_everywhere).

-export([is_common/1, belongs/2, ask/2, ask/3, members/1, failures/1]).

-export_type([scope/0, worker/0, answer/0, failed/0, failure/0]).

-type scope() :: undefined | atom().
%% A pool, or the common ones.
-type worker() :: {Id :: non_neg_integer(), Pool :: atom(), py_nif:worker()}.
-type answer() :: {WorkerId :: non_neg_integer(), Pool :: atom(), py:result()}.
-type failed() :: [{WorkerId :: non_neg_integer(), py:reason()}].
-type failure() :: {error, py:reason() | failed()}.

%% @doc Whether a pool is one of those.
-spec is_common(atom()) -> boolean().
is_common(Pool) ->
    lists:member(Pool, [default, async, parallel]).

%% @doc Whether a pool is meant.
-spec belongs(atom(), scope()) -> boolean().
belongs(Pool, undefined) -> is_common(Pool);
belongs(Pool, Scope) -> Pool =:= Scope.

%% @doc The workers of a scope that have joined.
-spec members(scope()) -> [worker()].
members(Scope) ->
    [Worker || {_, Pool, _} = Worker <- py_pool:joined(), belongs(Pool, Scope)].

%% @doc Runs a request on every worker that has joined the common pools. Each gets it before any request that is submitted later;
%% a busy worker when what it runs has ended. Blocks the calling process for at most `Timeout' ms.
-spec ask(py_nif:request(), timeout()) -> [answer()].
ask(Request, Timeout) ->
    ask(Request, Timeout, members(undefined)).

%% @doc As {@link ask/2}, on these workers.
-spec ask(py_nif:request(), timeout(), [worker()]) -> [answer()].
ask(Request, Timeout, Workers) ->
    Deadline = py_deadline:at(Timeout),
    Flags = py_options:of_node(),
    Sent = [{Id, Pool, py_request:async(Worker, Request, infinity, Flags)} || {Id, Pool, Worker} <- Workers],
    [{Id, Pool, py_request:await(Ref, py_deadline:left(Deadline))} || {Id, Pool, {Ref, Sending}} <- Sent, not gone(Ref, Sending)].

%% A worker that takes no requests any more is none of those that are asked: it has, or will have, a successor.
-spec gone(reference(), submitted | {refused, term()}) -> boolean().
gone(Ref, {refused, {worker_down, _}}) ->
    ok = py_request:cancel(Ref),
    true;
gone(_Ref, _) ->
    false.

%% @doc Who failed, and why.
-spec failures([answer()]) -> failed().
failures(Answers) ->
    [{Id, Reason} || {Id, _, {error, Reason}} <- Answers].
