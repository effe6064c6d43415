%% @doc The native functions, as stubs.
%%
%% The library is `priv/py_nif.so'. None of these functions blocks a scheduler: what can take long runs
%% on a dirty one, what must wait answers `{wait, Token}' or `{pending, Handle}' and sends a message later.
%% Users call {@link py}; this module is the contract between the Erlang part and the native one.
-module(py_nif).

-export([start/0, stop/0, nif_info/0, diagnose/0, oldest_requests/3, service_times/1]).
-export([pool_new/2, pool_add/2, pool_remove/2, pool_close/1, pool_failing/2, pool_info/1, choose/1]).
-export([worker_new/1, worker_watch/2, worker_attach/2, worker_close/1, worker_kill/2, worker_running/1, worker_info/1, worker_unused/2, alive/1]).
-export([observe_open/1, observe_done/3, observe_dropped/1]).
-export([submit/5, submit_dirty/5, decode_reply/1, cancel/1, cancel/2, unwait/1, waits_for/1, interrupt/1, in_flight/1, attend/1]).
-export([is_binding/1, tie/1, untie/1, claim/2, lease_end/1, lease_idle/1, lease_interrupt/1, lease_free/1, lease_hand_back/1]).
-export([stream_credit/2, stream_took/1, stream_rest/1]).
-export([is_handle/1, release_handle/1]).
-export([callback_enter/1, callback_reply/2, callback_reply_dirty/2]).
-export([permits/0, max_permits/0, set_max_permits/1, acquire/0, acquire/1, release/0]).
-export([encode/2, decode/2]).
-export([library/0]).

-export_type([pool/0, worker/0, lease/0, object/0, handle/0, reply/0, call/0, token/0, target/0, request/0, reply_to/0, outcome/0]).

-on_load(init/0).

-type pool() :: reference().
%% One named pool: the place that unbound requests are submitted to.
-type worker() :: reference().
%% One incarnation of a worker process.
-type lease() :: reference().
%% What leads the requests of a process to one worker: a binding, which has the worker for itself, or a tie (`py:exec/1').
-type object() :: reference().
%% One Python object that a worker keeps for Erlang.
-type handle() :: reference().
%% One request that is in flight.
-type reply() :: reference().
%% An answer that its caller decodes.
-type call() :: reference().
%% A Python thread that waits for an Erlang function.
-type token() :: reference().
%% A place in the queue of those that wait for a permit or for room in a ring.
-type target() :: pool() | worker() | lease().
-type text() :: atom() | binary() | string().
-type request() ::
    {call | stream, text(), text(), term(), term()} | {stream_eval, iodata(), term()} | {method, term(), text(), term(), term()} | {eval, iodata(), term()} | {exec, iodata()} | {reset}.
-type reply_to() :: reference() | py_response | py_result | {py_stream, Credit :: pos_integer() | infinity} | cast.
-type outcome() :: {ok, term()} | {error, term()} | {pending, handle()} | handle() | ok | {wait, token()} | large.

%% Who finds the module not loaded cannot ask it why.
init() ->
    case erlang:load_nif(library(), 0) of
        ok ->
            ok;
        {error, {_, Text}} = Error ->
            ok = persistent_term:put({py_nif, load_error}, io_lib:format("could not load ~ts.so: ~ts", [library(), Text])),
            Error
    end.

%% @doc Path of the native library without its extension.
-spec library() -> file:filename().
library() ->
    filename:join(priv_dir(), "py_nif").

-spec priv_dir() -> file:filename().
priv_dir() ->
    case code:priv_dir(erlang_python) of
        {error, bad_name} -> filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
        Dir -> Dir
    end.

%% @doc Starts the threads that every pool needs.
-spec start() -> ok | {error, {exhausted, binary()}}.
start() -> erlang:nif_error(not_loaded).

%% @doc Joins every thread and drops everything; pending requests get `{worker_down, stopped}'.
-spec stop() -> ok.
stop() -> erlang:nif_error(not_loaded).

%% @doc What the library holds: `version'; `slab_in_use', requests in flight; `leases' and `blobs', large payloads that workers read
%% in arenas and in segments of their own; `waiting', callers in queues; `readers', `mappings' and `incarnations'.
-spec nif_info() -> #{atom() => term()}.
nif_info() -> erlang:nif_error(not_loaded).

%% @doc What the library holds and what waits in it; waits for nobody. Shapes: {@link py_diagnose:report()}.
-spec diagnose() -> #{atom() => term()}.
diagnose() -> erlang:nif_error(not_loaded).

%% @doc The oldest requests that are pending, as {@link diagnose/0} shows them, the oldest first: at most `Count' and 1000, of an age in
%% milliseconds from `From' on and less than `To'. Waits for nobody.
-spec oldest_requests(From :: non_neg_integer(), To :: non_neg_integer() | infinity, Count :: non_neg_integer()) -> [#{atom() => term()}].
oldest_requests(_From, _To, _Count) -> erlang:nif_error(not_loaded).

%% @doc Service times of one worker, or of all that have served a pool.
-spec service_times(pool() | worker()) -> py_latency:times().
service_times(_PoolOrWorker) -> erlang:nif_error(not_loaded).

%% @doc Makes an empty pool.
-spec pool_new(atom(), #{inline_budget_us := non_neg_integer()}) -> pool().
pool_new(_Name, _Options) -> erlang:nif_error(not_loaded).

%% @doc From here on the worker takes unbound work of the pool.
-spec pool_add(pool(), worker()) -> ok.
pool_add(_Pool, _Worker) -> erlang:nif_error(not_loaded).

%% @doc No unbound work for this worker any more.
-spec pool_remove(pool(), worker()) -> ok.
pool_remove(_Pool, _Worker) -> erlang:nif_error(not_loaded).

%% @doc Submissions get `{error, not_started}' from here on; parked and waiting requests fail.
-spec pool_close(pool()) -> ok.
pool_close(_Pool) -> erlang:nif_error(not_loaded).

%% @doc Whether requests for which the pool has no worker get `{error, no_workers_available}' instead of waiting for one. Ends when a worker is added.
-spec pool_failing(pool(), boolean()) -> ok.
pool_failing(_Pool, _Failing) -> erlang:nif_error(not_loaded).

%% @doc Load of a pool.
-spec pool_info(pool()) ->
    #{workers := non_neg_integer(), pending := non_neg_integer(), parked := non_neg_integer(), waiting := non_neg_integer()}.
pool_info(_Pool) -> erlang:nif_error(not_loaded).

%% @doc The worker that an unbound request would go to.
-spec choose(pool()) -> {ok, worker()} | {error, no_worker}.
choose(_Pool) -> erlang:nif_error(not_loaded).

%% @doc Makes the shared memory of one worker incarnation and the frame that tells the worker about it.
-spec worker_new(#{atom() => term()}) -> {ok, worker(), binary()} | {error, {atom(), binary()}}.
worker_new(_Options) -> erlang:nif_error(not_loaded).

%% @doc Ties the worker to an OS process, whose death is learned from there on. `exited': there is none.
-spec worker_watch(worker(), pos_integer()) -> ok | {error, exited | binary()}.
worker_watch(_Worker, _OsPid) -> erlang:nif_error(not_loaded).

%% @doc Checks the worker's hello and starts the reader thread.
-spec worker_attach(worker(), binary()) -> ok | {error, bad_hello | {exhausted, binary()}}.
worker_attach(_Worker, _Hello) -> erlang:nif_error(not_loaded).

%% @doc No new requests; queued unbound ones that have not started move to other workers.
-spec worker_close(worker()) -> ok.
worker_close(_Worker) -> erlang:nif_error(not_loaded).

%% @doc Whether a term is a binding.
-spec is_binding(term()) -> boolean().
is_binding(_Term) -> erlang:nif_error(not_loaded).

%% @doc A tie to the worker that an unbound request would go to.
-spec tie(pool()) -> {ok, lease()} | {error, no_worker}.
tie(_Pool) -> erlang:nif_error(not_loaded).

%% @doc Ends a tie; does nothing to other targets.
-spec untie(target()) -> ok.
untie(_Tie) -> erlang:nif_error(not_loaded).

%% @doc Binds a worker: an idle one to which nobody is tied, any, or this one. Never the last unbound one, nor one with live
%% object handles. One process at a time may call this.
-spec claim(pool(), idle | any | worker()) -> {ok, lease()} | none.
claim(_Pool, _Wanted) -> erlang:nif_error(not_loaded).

%% @doc Ends a binding: no further requests; those in flight are cancelled.
-spec lease_end(lease()) -> ok.
lease_end(_Binding) -> erlang:nif_error(not_loaded).

%% @doc Whether the worker has nothing in flight. After `busy' the message `{py_idle, Binding}' tells when.
-spec lease_idle(lease()) -> idle | busy.
lease_idle(_Binding) -> erlang:nif_error(not_loaded).

%% @doc Raises `erlang.Interrupted' in what runs under a binding.
-spec lease_interrupt(lease()) -> ok | not_running.
lease_interrupt(_Binding) -> erlang:nif_error(not_loaded).

%% @doc The worker takes unbound work again; the handles of its objects stand for nothing.
-spec lease_free(lease()) -> ok.
lease_free(_Binding) -> erlang:nif_error(not_loaded).

%% @doc Gives the worker of a binding that nobody has used yet back, if it has come to keep objects for handles: those stay.
-spec lease_hand_back(lease()) -> boolean().
lease_hand_back(_Binding) -> erlang:nif_error(not_loaded).

%% @doc Kills the worker and its process group; callers see `{worker_down, Reason}'.
-spec worker_kill(worker() | lease(), atom()) -> ok.
worker_kill(_Worker, _Reason) -> erlang:nif_error(not_loaded).

%% @doc Requests that the worker has started and not answered.
-spec worker_running(worker()) -> non_neg_integer().
worker_running(_Worker) -> erlang:nif_error(not_loaded).

%% @doc Load and service times of one worker; `requests' that have come, modulo 2^32, `ties' of processes to it, `handles' that exist in Erlang, `objects' that the worker keeps for them, and
%% `object_slots' of the table that it keeps them in.
-spec worker_info(worker()) -> #{atom() => term()}.
worker_info(_Worker) -> erlang:nif_error(not_loaded).

%% @doc Whether a worker that was removed from its pool has nothing in flight, and nobody has anything that leads to it: no binding, tie
%% or object. Then nobody ever will.
-spec worker_unused(pool(), worker()) -> boolean().
worker_unused(_Pool, _Worker) -> erlang:nif_error(not_loaded).

%% @doc Whether the worker takes requests, from the holder of the lease if it is one.
-spec alive(worker() | lease()) -> boolean().
alive(_Worker) -> erlang:nif_error(not_loaded).

%% @doc Publishes a request.
-spec submit(target(), request(), reply_to(), non_neg_integer(), 0 | token()) -> outcome().
submit(_Target, _Request, _ReplyTo, _Flags, _Token) -> erlang:nif_error(not_loaded).

%% @doc As {@link submit/5}, on a dirty scheduler, for requests with much data.
-spec submit_dirty(target(), request(), reply_to(), non_neg_integer(), 0 | token()) -> outcome().
submit_dirty(_Target, _Request, _ReplyTo, _Flags, _Token) -> erlang:nif_error(not_loaded).

%% @doc Decodes the answer that came in `{Ref, {py_undecoded, Reply}}', once; on a dirty scheduler if it is large.
-spec decode_reply(reply()) -> {ok, term()} | {error, term()}.
decode_reply(_Reply) -> erlang:nif_error(not_loaded).

%% @doc Settles a request. `stream' means that items of it may be in the mailbox, `sent' that its answer was delivered or, as long
%% as {@link in_flight/1} holds, is on its way.
-spec cancel(handle()) -> cancelled | stream | sent.
cancel(_Handle) -> erlang:nif_error(not_loaded).

%% @doc As {@link cancel/1}, but an asynchronous request is answered with `{py_error, Handle, Reason}'.
-spec cancel(handle(), atom()) -> cancelled | stream | sent.
cancel(_Handle, _Reason) -> erlang:nif_error(not_loaded).

%% @doc Gives a place in the queue back. After `woken' the message `{py_go, Token}' is there or about to be.
-spec unwait(token()) -> waiting | woken.
unwait(_Token) -> erlang:nif_error(not_loaded).

%% @doc What a place in a queue is waited at for: a permit, or a worker with room in its ring.
-spec waits_for(token()) -> permit | room.
waits_for(_Token) -> erlang:nif_error(not_loaded).

%% @doc Raises `erlang.Interrupted' in a running request, which still answers.
-spec interrupt(handle()) -> ok | not_running.
interrupt(_Handle) -> erlang:nif_error(not_loaded).

%% @doc Whether an answer may still arrive.
-spec in_flight(handle()) -> boolean().
in_flight(_Handle) -> erlang:nif_error(not_loaded).

%% @doc Waits for a pending request to be answered, for at most the inline budget and only if it is expected to be short. The
%% answer comes as a message all the same.
-spec attend(handle()) -> ok.
attend(_Handle) -> erlang:nif_error(not_loaded).

%% @doc The consumer of a stream wants so many more items. Whether the stream goes on.
-spec stream_credit(handle(), pos_integer() | infinity) -> boolean().
stream_credit(_Handle, _Items) -> erlang:nif_error(not_loaded).

%% @doc The consumer of a stream has taken an item; every half of its first credit it is given as much again.
-spec stream_took(handle()) -> boolean().
stream_took(_Handle) -> erlang:nif_error(not_loaded).

%% @doc What is still to come of a stream; `being_sent': its end, which may be in the mailbox already.
-spec stream_rest(handle()) -> to_come | being_sent | nothing.
stream_rest(_Handle) -> erlang:nif_error(not_loaded).

%% @doc Whether a term is the handle of a Python object.
-spec is_handle(term()) -> boolean().
is_handle(_Term) -> erlang:nif_error(not_loaded).

%% @doc Lets the worker drop an object before its handle is collected.
-spec release_handle(object()) -> ok.
release_handle(_Object) -> erlang:nif_error(not_loaded).

%% @doc The calling process runs the function: its own requests belong to the chain of calls that waits for it.
-spec callback_enter(call()) -> ok.
callback_enter(_Call) -> erlang:nif_error(not_loaded).

%% @doc Answers a call from Python with a value or the text of an error. `large': use {@link callback_reply_dirty/2}.
%% `{error, Reason}': there is no Python object for the value, and Python waits still.
-spec callback_reply(call(), {ok, term()} | {error, binary()}) -> ok | large | {error, term()}.
callback_reply(_Call, _Result) -> erlang:nif_error(not_loaded).

%% @doc As {@link callback_reply/2}, on a dirty scheduler, for answers with much data.
-spec callback_reply_dirty(call(), {ok, term()} | {error, binary()}) -> ok | {error, term()}.
callback_reply_dirty(_Call, _Result) -> erlang:nif_error(not_loaded).

%% @doc The calling process begins to take the events of Python, logs or spans: what they are counted under.
-spec observe_open(py_logger | py_tracer) -> non_neg_integer().
observe_open(_Server) -> erlang:nif_error(not_loaded).

%% @doc An event has been handled: there is room for as much.
-spec observe_done(py_logger | py_tracer, non_neg_integer(), non_neg_integer()) -> ok.
observe_done(_Server, _Epoch, _Cost) -> erlang:nif_error(not_loaded).

%% @doc How many events were dropped since the last question.
-spec observe_dropped(py_logger | py_tracer) -> non_neg_integer().
observe_dropped(_Server) -> erlang:nif_error(not_loaded).

%% @doc Permits of the node's semaphore in use.
-spec permits() -> non_neg_integer().
permits() -> erlang:nif_error(not_loaded).

%% @doc Bound of the node's semaphore.
-spec max_permits() -> pos_integer().
max_permits() -> erlang:nif_error(not_loaded).

%% @doc Sets the bound of the node's semaphore.
-spec set_max_permits(pos_integer()) -> ok.
set_max_permits(_Max) -> erlang:nif_error(not_loaded).

%% @doc Takes a permit for the calling process.
-spec acquire() -> ok | {wait, token()}.
acquire() -> erlang:nif_error(not_loaded).

%% @doc As {@link acquire/0}, after `{py_go, Token}'.
-spec acquire(token()) -> ok | {wait, token()}.
acquire(_Token) -> erlang:nif_error(not_loaded).

%% @doc Gives back a permit of the calling process.
-spec release() -> ok.
release() -> erlang:nif_error(not_loaded).

%% @doc The codec alone: what a worker would be sent.
-spec encode(term(), non_neg_integer()) -> binary() | {error, term()}.
encode(_Term, _Flags) -> erlang:nif_error(not_loaded).

%% @doc The codec alone: reads what a worker would send.
-spec decode(binary(), non_neg_integer()) -> {ok, term()} | {error, term()}.
decode(_Binary, _Flags) -> erlang:nif_error(not_loaded).
