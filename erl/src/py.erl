%% @doc Python from Erlang.
%%
%% ```
%% {ok, 4.0} = py:call(math, sqrt, [16]).
%% {ok, 30} = py:eval(<<"sum(x * x for x in range(n))">>, #{n => 5}).
%% '''
%% Module and function are atoms, binaries or strings; dotted names work. Positional arguments are a list, keyword arguments a
%% map or a proplist. A result is `{ok, Value}' or `{error, Reason}'; no function here raises for what Python does.
%% In the place of a timeout (milliseconds, default 30000) stands a map where more is to be said: {@link py_options:options()}.
%% Work whose time is over, or whose caller has died, is cancelled.
-module(py).

-export([call/3, call/4, call/5, eval/1, eval/2, eval/3, exec/1, exec/2]).
-export([call_async/3, call_async/4, spawn_call/3, spawn_call/4, spawn_call/5, cast/3, cast/4, cast/5]).
-export([await/1, await/2, async_await/1, async_await/2, cancel/1, interrupt/1, parallel/1, parallel/2]).
-export([stream/3, stream/4, stream/5, stream_eval/1, stream_eval/2, stream_eval/3]).
-export([stream_start/3, stream_start/4, stream_start/5, stream_eval_start/2, stream_eval_start/3]).
-export([stream_next/1, stream_credit/2, stream_cancel/1]).
-export([bind/0, bind/1, unbind/0, unbind/1, is_bound/0, with_context/1]).
-export([ctx_call/4, ctx_call/5, ctx_call/6, ctx_eval/2, ctx_eval/3, ctx_eval/4, ctx_exec/2, ctx_exec/3]).
-export([ctx_async_call/4, ctx_async_call/5]).
-export([async_call/3, async_call/4, async_call/5, async_gather/1, async_gather/2, async_stream/3, async_stream/4, async_stream/5]).
-export([exec_all/1, exec_all/2, reload/1, reload/2]).
-export([activate_venv/1, deactivate_venv/0, venv_info/0, ensure_venv/2, ensure_venv/3]).
-export([memory_stats/0, memory_stats/1, gc/0, gc/1, tracemalloc_start/0, tracemalloc_start/1, tracemalloc_stop/0]).
-export([configure_logging/0, configure_logging/1, enable_tracing/0, disable_tracing/0, get_traces/0, clear_traces/0]).
-export([call_method/3, call_method/4, call_method/5, getattr/2, getattr/3, to_term/1, to_term/2, is_ref/1, release/1]).
-export([register_function/2, register_function/3, unregister_function/1]).
-export([state_fetch/1, state_store/2, state_remove/1, state_keys/0, state_clear/0, state_incr/1, state_incr/2, state_decr/1, state_decr/2]).
-export([version/0, execution_mode/0, execution_info/0, num_executors/0, subinterp_supported/0, workers/0, stats/0, diagnose/0, stacks/0, stacks/1, top/0, top/1]).

-export_type([ref/0, context/0, worker/0, name/0, args/0, kwargs/0, code/0, reason/0, result/0, options/0, call/0]).

-include_lib("kernel/include/logger.hrl").

-type name() :: atom() | binary() | string().
-type args() :: [term()].
-type kwargs() :: #{name() => term()} | [{name(), term()}].
-type code() :: iodata().
-type options() :: py_options:options().
-type reason() :: {ExceptionType :: atom(), Message :: string()} | {atom(), term()} | {overloaded, integer(), integer()} | map() | atom().
%% A Python exception, or what kept the work from being done: `timeout', `{overloaded, Current, Max}', `{worker_down, Why}', `interrupted',
%% `{badarg, What}', `{bad_option, Key}', `{unsupported_term, Term}', `{unsupported_object, TypeName}', `not_started'.
-type result() :: {ok, term()} | {error, reason()}.
-type context() :: py_context:context().
%% A worker that only those use who have this term; any process of the node may.
-type ref() :: {py_object | generator, reference()}.
%% A Python object that stays in its worker, from option `return => ref' or `unknown => ref'; a result that is an iterator is always
%% `{generator, _}'. As an argument it is the object again, and leads the call to its worker. The worker drops the object when the
%% term has been collected, or after {@link release/1}.
-type call() :: {name(), name(), args()} | {name(), name(), args(), kwargs()}.

-type worker() :: py_info:worker().

-define(DEFAULT_TIMEOUT, 30000).

%% Synchronous work. Each of these blocks the calling process only, until the answer or the timeout.

%% @doc Calls a function on a worker of pool `default', chosen by load.
-spec call(name(), name(), args()) -> result().
call(Module, Function, Args) ->
    py_route:sync({call, Module, Function, Args, []}).

%% @doc As {@link call/3}, with keyword arguments.
-spec call(name(), name(), args(), kwargs()) -> result().
call(Module, Function, Args, Kwargs) ->
    py_route:sync({call, Module, Function, Args, Kwargs}).

%% @doc As {@link call/4}, with a timeout or options.
-spec call(name(), name(), args(), kwargs(), options()) -> result().
call(Module, Function, Args, Kwargs, Options) ->
    py_route:sync({call, Module, Function, Args, Kwargs}, Options).

%% @doc Value of one expression. Its globals are those of `__main__'.
-spec eval(code()) -> result().
eval(Code) ->
    py_route:sync({eval, Code, []}).

%% @doc As {@link eval/1}, with local names, which do not stay.
-spec eval(code(), kwargs()) -> result().
eval(Code, Locals) ->
    py_route:sync({eval, Code, Locals}).

%% @doc As {@link eval/2}, with a timeout or options.
-spec eval(code(), kwargs(), options()) -> result().
eval(Code, Locals, Options) ->
    py_route:sync({eval, Code, Locals}, Options).

%% @doc Runs statements in `__main__' of a worker. From then on the calling process keeps going to that
%% worker, which others use as well, until {@link unbind/0} or the worker's end.
-spec exec(code()) -> ok | {error, reason()}.
exec(Code) ->
    exec(Code, ?DEFAULT_TIMEOUT).

%% @doc As {@link exec/1}, with a timeout or options. With option `pool' the process is not tied to a worker.
-spec exec(code(), options()) -> ok | {error, reason()}.
exec(Code, Options) ->
    done(py_route:exec({exec, Code}, Options)).

-spec done(result()) -> ok | {error, reason()}.
done({ok, _}) -> ok;
done({error, _} = Error) -> Error.

%% Asynchronous work.

%% @doc Starts a call; the answer is a message `{py_response, Ref, {ok, Value}}' or `{py_error, Ref, Reason}', or
%% comes from {@link await/1}. No deadline of its own.
-spec call_async(name(), name(), args()) -> reference().
call_async(Module, Function, Args) ->
    call_async(Module, Function, Args, []).

%% @doc As {@link call_async/3}, with keyword arguments.
-spec call_async(name(), name(), args(), kwargs()) -> reference().
call_async(Module, Function, Args, Kwargs) ->
    py_route:async({call, Module, Function, Args, Kwargs}, #{timeout => infinity}).

%% @equiv call_async(Module, Function, Args)
-spec spawn_call(name(), name(), args()) -> reference().
spawn_call(Module, Function, Args) ->
    call_async(Module, Function, Args, []).

%% @equiv call_async(Module, Function, Args, Kwargs)
-spec spawn_call(name(), name(), args(), kwargs()) -> reference().
spawn_call(Module, Function, Args, Kwargs) ->
    call_async(Module, Function, Args, Kwargs).

%% @doc As {@link call_async/4}, with a timeout, after which the answer is `{py_error, Ref, timeout}', or options.
-spec spawn_call(name(), name(), args(), kwargs(), options()) -> reference().
spawn_call(Module, Function, Args, Kwargs, Options) when is_map(Options) ->
    py_route:async({call, Module, Function, Args, Kwargs}, maps:merge(#{timeout => infinity}, Options));
spawn_call(Module, Function, Args, Kwargs, Timeout) ->
    py_route:async({call, Module, Function, Args, Kwargs}, Timeout).

%% @doc Starts a call whose outcome nobody wants; failures are logged. It outlives the calling process.
-spec cast(name(), name(), args()) -> ok.
cast(Module, Function, Args) ->
    cast(Module, Function, Args, []).

%% @doc As {@link cast/3}, with keyword arguments.
-spec cast(name(), name(), args(), kwargs()) -> ok.
cast(Module, Function, Args, Kwargs) ->
    cast(Module, Function, Args, Kwargs, #{}).

%% @doc As {@link cast/4}, with options other than a timeout.
-spec cast(name(), name(), args(), kwargs(), options()) -> ok.
cast(Module, Function, Args, Kwargs, Options) ->
    case py_route:cast({call, Module, Function, Args, Kwargs}, Options) of
        ok -> ok;
        {error, Reason} -> ?LOG_WARNING("py:cast(~0tP, ~0tP, ...) failed: ~0tP", [Module, 20, Function, 20, Reason, 40])
    end.

%% @doc Waits for the answer of an asynchronous call, at most 30 s.
-spec await(reference()) -> result().
await(Ref) ->
    py_request:await(Ref, ?DEFAULT_TIMEOUT).

%% @doc Waits for the answer of an asynchronous call; after `Timeout' ms the work is cancelled.
-spec await(reference(), timeout()) -> result().
await(Ref, Timeout) ->
    py_request:await(Ref, Timeout).

%% @equiv await(Ref)
-spec async_await(reference()) -> result().
async_await(Ref) ->
    py_request:await(Ref, ?DEFAULT_TIMEOUT).

%% @equiv await(Ref, Timeout)
-spec async_await(reference(), timeout()) -> result().
async_await(Ref, Timeout) ->
    py_request:await(Ref, Timeout).

%% @doc Cancels an asynchronous call or a stream of this process; nothing of it arrives afterwards.
-spec cancel(reference()) -> ok | {error, {badarg, ref}}.
cancel(Ref) when is_reference(Ref) ->
    py_request:cancel(Ref);
cancel(_) ->
    {error, {badarg, ref}}.

%% @doc Raises `erlang.Interrupted' in an asynchronous call that runs, or in what runs on a context; in a coroutine it arrives as `asyncio.CancelledError'.
%% A program may catch it and go on, otherwise the answer is `{py_error, Ref, interrupted}'. `not_running': the call has not
%% begun, or has ended.
-spec interrupt(reference() | context()) -> ok | not_running | {error, {badarg, ref}}.
interrupt(Ref) when is_reference(Ref) ->
    py_request:interrupt(Ref);
interrupt(_) ->
    {error, {badarg, ref}}.

%% @doc Runs calls side by side on pool `parallel'. Results in the order of the calls, errors in their places.
-spec parallel([call()]) -> {ok, [result()]} | {error, reason()}.
parallel(Calls) ->
    parallel(Calls, ?DEFAULT_TIMEOUT).

%% @doc As {@link parallel/1}. The timeout bounds the whole; calls without an answer by then are `{error, timeout}'.
-spec parallel([call()], options()) -> {ok, [result()]} | {error, reason()}.
parallel(Calls, Options) ->
    py_parallel:run(Calls, Options).

%% Items of iterators and generators.

%% @doc Calls a function and collects the items of the iterator that comes of it. Any other value is the only item; an
%% iterator among the items is no iterator of the stream's, and crosses like any object without a term.
-spec stream(name(), name(), args()) -> {ok, [term()]} | {error, reason()}.
stream(Module, Function, Args) ->
    stream(Module, Function, Args, []).

%% @doc As {@link stream/3}, with keyword arguments.
-spec stream(name(), name(), args(), kwargs()) -> {ok, [term()]} | {error, reason()}.
stream(Module, Function, Args, Kwargs) ->
    stream(Module, Function, Args, Kwargs, ?DEFAULT_TIMEOUT).

%% @doc As {@link stream/4}, with a timeout for the whole, or options.
-spec stream(name(), name(), args(), kwargs(), options()) -> {ok, [term()]} | {error, reason()}.
stream(Module, Function, Args, Kwargs, Options) ->
    py_stream:collect({stream, Module, Function, Args, Kwargs}, Options).

%% @doc As {@link stream/3}, for the value of an expression.
-spec stream_eval(code()) -> {ok, [term()]} | {error, reason()}.
stream_eval(Code) ->
    stream_eval(Code, []).

%% @doc As {@link stream_eval/1}, with local names.
-spec stream_eval(code(), kwargs()) -> {ok, [term()]} | {error, reason()}.
stream_eval(Code, Locals) ->
    stream_eval(Code, Locals, ?DEFAULT_TIMEOUT).

%% @doc As {@link stream_eval/2}, with a timeout for the whole, or options.
-spec stream_eval(code(), kwargs(), options()) -> {ok, [term()]} | {error, reason()}.
stream_eval(Code, Locals, Options) ->
    py_stream:collect({stream_eval, Code, Locals}, Options).

%% @doc Starts a stream, whose items come to the calling process one by one: through {@link stream_next/1}, or as messages
%% `{py_chunk, Ref, Item}', and at the end `{py_end, Ref}' or `{py_error, Ref, Reason}'. At most 16 items are ahead of the
%% consumer. The generator stops, and its `finally' runs, after {@link stream_cancel/1} and when the consumer dies.
-spec stream_start(name(), name(), args()) -> {ok, reference()} | {error, reason()}.
stream_start(Module, Function, Args) ->
    stream_start(Module, Function, Args, []).

%% @doc As {@link stream_start/3}, with keyword arguments.
-spec stream_start(name(), name(), args(), kwargs()) -> {ok, reference()} | {error, reason()}.
stream_start(Module, Function, Args, Kwargs) ->
    stream_start(Module, Function, Args, Kwargs, infinity).

%% @doc As {@link stream_start/4}, with options, among them `credit', the number of items that may be ahead of the consumer: a
%% positive integer or `infinity'. Without a timeout there is no deadline; with one, the last message is
%% `{py_error, Ref, timeout}' after that time.
-spec stream_start(name(), name(), args(), kwargs(), py_stream:options()) -> {ok, reference()} | {error, reason()}.
stream_start(Module, Function, Args, Kwargs, Options) ->
    py_stream:start({stream, Module, Function, Args, Kwargs}, Options).

%% @doc As {@link stream_start/3}, for the value of an expression with local names.
-spec stream_eval_start(code(), kwargs()) -> {ok, reference()} | {error, reason()}.
stream_eval_start(Code, Locals) ->
    stream_eval_start(Code, Locals, infinity).

%% @doc As {@link stream_eval_start/2}, with options as those of {@link stream_start/5}.
-spec stream_eval_start(code(), kwargs(), py_stream:options()) -> {ok, reference()} | {error, reason()}.
stream_eval_start(Code, Locals, Options) ->
    py_stream:start({stream_eval, Code, Locals}, Options).

%% @doc The next item of a stream that this process has started; waits for it. `done' after the last.
-spec stream_next(reference()) -> {ok, term()} | done | {error, reason()}.
stream_next(Ref) when is_reference(Ref) ->
    py_stream:next(Ref);
stream_next(_) ->
    {error, {badarg, ref}}.

%% @doc Lets a stream send so many items more. For those who receive its messages themselves; {@link stream_next/1} sees to it.
-spec stream_credit(reference(), pos_integer() | infinity) -> ok | {error, {badarg, ref | credit}}.
stream_credit(Ref, Items) ->
    py_stream:credit(Ref, Items).

%% @doc Ends a stream; nothing of it arrives afterwards.
-spec stream_cancel(reference()) -> ok | {error, {badarg, ref}}.
stream_cancel(Ref) ->
    cancel(Ref).

%% A worker of one's own. When a binding ends, what its owner has in flight is cancelled, handles of its objects are let go, and
%% `__main__', `os.environ', working directory, `sys.path' and the level of the root logger are put back; imported modules stay.

%% @doc Binds the calling process to a worker that nobody else uses, until {@link unbind/0} or the end of the process; `ok' as well if it is bound.
%% A pool in which no worker can be spared grows, up to `max_workers'; then `{error, no_workers_available}'.
-spec bind() -> ok | {error, reason()}.
bind() ->
    py_context:bind().

%% @doc A worker as a term, for {@link ctx_call/4} and its like, until {@link unbind/1} or the end of the calling process. Options: `pool',
%% and `fresh => true' for a worker process that is started for this.
-spec bind(new | py_context:options()) -> {ok, context()} | {error, reason()}.
bind(Options) ->
    py_context:bind(Options).

%% @doc Ends what {@link bind/0} or {@link exec/1} began: the next work goes to any worker.
-spec unbind() -> ok.
unbind() ->
    py_context:unbind().

%% @doc Ends a context.
-spec unbind(context()) -> ok | {error, {badarg, context}}.
unbind(Context) ->
    py_context:unbind(Context).

%% @doc Whether the calling process is bound by {@link bind/0} or {@link with_context/1}.
-spec is_bound() -> boolean().
is_bound() ->
    py_context:is_bound().

%% @doc Runs a function with a worker of its own: bound to it, or with the context as its argument. The binding ends with the
%% function, and the one before holds again.
-spec with_context(fun(() -> Result) | fun((context()) -> Result)) -> Result | {error, reason()}.
with_context(Fun) ->
    py_context:with_context(Fun).

%% @doc As {@link call/3}, on a context. All functions on contexts raise `context_not_bound' after the end of the context.
-spec ctx_call(context(), name(), name(), args()) -> result().
ctx_call(Context, Module, Function, Args) ->
    py_context:sync(Context, {call, Module, Function, Args, []}, ?DEFAULT_TIMEOUT).

%% @doc As {@link call/4}, on a context.
-spec ctx_call(context(), name(), name(), args(), kwargs()) -> result().
ctx_call(Context, Module, Function, Args, Kwargs) ->
    py_context:sync(Context, {call, Module, Function, Args, Kwargs}, ?DEFAULT_TIMEOUT).

%% @doc As {@link call/5}, on a context.
-spec ctx_call(context(), name(), name(), args(), kwargs(), options()) -> result().
ctx_call(Context, Module, Function, Args, Kwargs, Options) ->
    py_context:sync(Context, {call, Module, Function, Args, Kwargs}, Options).

%% @doc As {@link eval/1}, on a context.
-spec ctx_eval(context(), code()) -> result().
ctx_eval(Context, Code) ->
    py_context:sync(Context, {eval, Code, []}, ?DEFAULT_TIMEOUT).

%% @doc As {@link eval/2}, on a context.
-spec ctx_eval(context(), code(), kwargs()) -> result().
ctx_eval(Context, Code, Locals) ->
    py_context:sync(Context, {eval, Code, Locals}, ?DEFAULT_TIMEOUT).

%% @doc As {@link eval/3}, on a context.
-spec ctx_eval(context(), code(), kwargs(), options()) -> result().
ctx_eval(Context, Code, Locals, Options) ->
    py_context:sync(Context, {eval, Code, Locals}, Options).

%% @doc Runs statements in `__main__' of a context.
-spec ctx_exec(context(), code()) -> ok | {error, reason()}.
ctx_exec(Context, Code) ->
    ctx_exec(Context, Code, ?DEFAULT_TIMEOUT).

%% @doc As {@link ctx_exec/2}, with a timeout or options.
-spec ctx_exec(context(), code(), options()) -> ok | {error, reason()}.
ctx_exec(Context, Code, Options) ->
    done(py_context:sync(Context, {exec, Code}, Options)).

%% @doc As {@link async_call/3}, on the event loop of a context.
-spec ctx_async_call(context(), name(), name(), args()) -> reference().
ctx_async_call(Context, Module, Function, Args) ->
    py_context:on_loop(Context, {call, Module, Function, Args, []}).

%% @doc As {@link async_call/4}, on the event loop of a context.
-spec ctx_async_call(context(), name(), name(), args(), kwargs()) -> reference().
ctx_async_call(Context, Module, Function, Args, Kwargs) ->
    py_context:on_loop(Context, {call, Module, Function, Args, Kwargs}).

%% Work of an event loop: coroutines run side by side in one worker.

%% @doc Starts a call on an event loop; the answer is a message `{py_result, Ref, Value}' or `{py_error, Ref, Reason}', or
%% comes from {@link async_await/1}. Coroutine functions and functions of module asyncio run on the loop, other functions
%% in a thread beside it. The loop is that of pool `async', or of the worker that the calling process is tied to. No deadline of its own.
-spec async_call(name(), name(), args()) -> reference().
async_call(Module, Function, Args) ->
    py_async_driver:submit(Module, Function, Args, []).

%% @doc As {@link async_call/3}, with keyword arguments.
-spec async_call(name(), name(), args(), kwargs()) -> reference().
async_call(Module, Function, Args, Kwargs) ->
    py_async_driver:submit(Module, Function, Args, Kwargs).

%% @doc As {@link async_call/4}, with a timeout, after which the answer is `{py_error, Ref, timeout}', or options.
-spec async_call(name(), name(), args(), kwargs(), options()) -> reference().
async_call(Module, Function, Args, Kwargs, Options) ->
    py_async_driver:submit(Module, Function, Args, Kwargs, Options).

%% @doc Runs calls side by side on the event loop of one worker and returns their values in order. The first failure is
%% that of the whole, and cancels the rest.
-spec async_gather([call()]) -> {ok, [term()]} | {error, reason()}.
async_gather(Calls) ->
    py_async_driver:gather(Calls, ?DEFAULT_TIMEOUT).

%% @doc As {@link async_gather/1}, with a timeout for the whole or options. With `return_exceptions => true' nothing is cancelled,
%% and each place has `{ok, Value}' or `{error, Reason}'.
-spec async_gather([call()], options() | #{return_exceptions => boolean(), atom() => term()}) ->
    {ok, [term()]} | {error, reason()}.
async_gather(Calls, Options) ->
    py_async_driver:gather(Calls, Options).

%% @doc All items of an asynchronous generator, collected on the event loop.
-spec async_stream(name(), name(), args()) -> {ok, [term()]} | {error, reason()}.
async_stream(Module, Function, Args) ->
    async_stream(Module, Function, Args, []).

%% @doc As {@link async_stream/3}, with keyword arguments.
-spec async_stream(name(), name(), args(), kwargs()) -> {ok, [term()]} | {error, reason()}.
async_stream(Module, Function, Args, Kwargs) ->
    async_stream(Module, Function, Args, Kwargs, ?DEFAULT_TIMEOUT).

%% @doc As {@link async_stream/4}, with a timeout for the whole, or options.
-spec async_stream(name(), name(), args(), kwargs(), options()) -> {ok, [term()]} | {error, reason()}.
async_stream(Module, Function, Args, Kwargs, Options) ->
    py_async_driver:stream(Module, Function, Args, Kwargs, Options).

%% All workers.

%% @doc Runs statements on every worker of the pools `default', `async' and `parallel', and at every later start of one. A busy worker
%% runs them when its work has ended, before requests that are submitted after this.
%% Recorded only if it succeeded everywhere; the same text again moves to the end of the log.
-spec exec_all(code()) -> ok | py_everywhere:failure().
exec_all(Code) ->
    exec_all(Code, ?DEFAULT_TIMEOUT).

%% @doc As {@link exec_all/1}, with a timeout or options; option `pool' means the workers of that pool instead.
-spec exec_all(code(), options()) -> ok | py_everywhere:failure().
exec_all(Code, Options) ->
    py_exec_log:exec_all(Code, Options).

%% @doc Reloads a module in every worker that has imported it.
-spec reload(name()) -> ok | {error, reason() | [{worker, reason()}]}.
reload(Module) ->
    reload(Module, ?DEFAULT_TIMEOUT).

%% @doc As {@link reload/1}, with a timeout or options; option `pool' means the workers of that pool instead.
-spec reload(name(), options()) -> ok | {error, reason() | [{worker, reason()}]}.
reload(Module, Options) ->
    py_admin:reload(Module, Options).

%% Virtual environments.

%% @doc Enters a virtual environment in every worker of the pools `default', `async' and `parallel', also in those that start later:
%% its entries come first in `sys.path', its `.pth' files are honoured, `VIRTUAL_ENV', `PATH' and `sys.prefix' are set. The one that
%% was active is left. `{error, {invalid_venv, Path}}' also for an environment of another minor version of Python.
-spec activate_venv(py_venv:path()) -> ok | py_everywhere:failure().
activate_venv(Path) ->
    py_venv:activate(Path).

%% @doc Takes back what {@link activate_venv/1} did. Modules that were imported stay imported.
-spec deactivate_venv() -> ok | py_everywhere:failure().
deactivate_venv() ->
    py_venv:deactivate().

%% @doc Which virtual environment is active.
-spec venv_info() -> {ok, py_venv:info()} | {error, not_started}.
venv_info() ->
    py_venv:info().

%% @doc Makes a virtual environment with these packages, unless it is there, and activates it. Uses `uv' if it is on the PATH, else
%% `venv' and `pip'. What fails is removed again and is `{error, {venv_failed, Output}}'. Of several at once one does the work.
-spec ensure_venv(py_venv:path(), py_venv:requirements()) -> ok | py_everywhere:failure().
ensure_venv(Path, Requirements) ->
    py_venv:ensure(Path, Requirements, #{}).

%% @doc As {@link ensure_venv/2}, with options.
-spec ensure_venv(py_venv:path(), py_venv:requirements(), py_venv:options()) ->
    ok | py_everywhere:failure().
ensure_venv(Path, Requirements, Options) ->
    py_venv:ensure(Path, Requirements, Options).

%% Memory of the interpreters.

%% @doc What Python says about its memory in every worker of the pools `default', `async' and `parallel', and the sums.
-spec memory_stats() -> {ok, py_admin:memory()} | {error, reason()}.
memory_stats() ->
    py_admin:memory_stats(#{}).

%% @doc As {@link memory_stats/0}, with a timeout or options; option `pool' asks one pool.
-spec memory_stats(options()) -> {ok, py_admin:memory()} | {error, reason()}.
memory_stats(Options) ->
    py_admin:memory_stats(Options).

%% @doc Collects garbage in every worker; the sum of the unreachable objects that were found.
-spec gc() -> {ok, non_neg_integer()} | py_everywhere:failure().
gc() ->
    py_admin:gc().

%% @doc As {@link gc/0}, up to generation 0, 1 or 2.
-spec gc(0..2) -> {ok, non_neg_integer()} | py_everywhere:failure().
gc(Generation) ->
    py_admin:gc(Generation).

%% @doc Has `tracemalloc' trace allocations in every worker, also those that start later; {@link memory_stats/0} has the figures.
-spec tracemalloc_start() -> ok | py_everywhere:failure().
tracemalloc_start() ->
    py_admin:tracemalloc_start(1).

%% @doc As {@link tracemalloc_start/0}, with a number of frames that are kept of each traceback.
-spec tracemalloc_start(pos_integer()) -> ok | py_everywhere:failure().
tracemalloc_start(Frames) ->
    py_admin:tracemalloc_start(Frames).

%% @doc Ends what {@link tracemalloc_start/0} began.
-spec tracemalloc_stop() -> ok | py_everywhere:failure().
tracemalloc_stop() ->
    py_admin:tracemalloc_stop().

%% What Python logs.

%% @doc Sends what Python logs to `logger', from its primary level on.
-spec configure_logging() -> ok | py_everywhere:failure().
configure_logging() ->
    py_logger:configure(#{}).

%% @doc As {@link configure_logging/0}, with a level and a format. What is below the level stays in Python. See {@link py_logger}
%% for the events.
-spec configure_logging(py_logger:options()) -> ok | py_everywhere:failure().
configure_logging(Options) ->
    py_logger:configure(Options).

%% How long what takes in Python.

%% @doc Keeps the spans (`erlang.Span', `erlang.trace') that end in Python from here on.
-spec enable_tracing() -> ok | py_everywhere:failure().
enable_tracing() ->
    py_tracer:enable().

%% @doc Ends what {@link enable_tracing/0} began; spans that were kept stay.
-spec disable_tracing() -> ok | py_everywhere:failure().
disable_tracing() ->
    py_tracer:disable().

%% @doc The spans that are kept, in the order of their ends, at most 10000. Those of a call are here when it has been answered.
-spec get_traces() -> {ok, [py_tracer:span()]} | {error, not_started}.
get_traces() ->
    py_tracer:spans().

%% @doc Forgets the spans that are kept.
-spec clear_traces() -> ok | {error, not_started}.
clear_traces() ->
    py_tracer:clear().

%% Objects that stay in their worker.

%% @doc Calls a method of an object, in the object's worker.
-spec call_method(ref(), name(), args()) -> result().
call_method(Ref, Method, Args) ->
    call_method(Ref, Method, Args, []).

%% @doc As {@link call_method/3}, with keyword arguments.
-spec call_method(ref(), name(), args(), kwargs()) -> result().
call_method(Ref, Method, Args, Kwargs) ->
    py_route:sync({method, Ref, Method, Args, Kwargs}).

%% @doc As {@link call_method/4}, with a timeout or options.
-spec call_method(ref(), name(), args(), kwargs(), options()) -> result().
call_method(Ref, Method, Args, Kwargs, Options) ->
    py_route:sync({method, Ref, Method, Args, Kwargs}, Options).

%% @doc Value of an attribute of an object.
-spec getattr(ref(), name()) -> result().
getattr(Ref, Name) ->
    getattr(Ref, Name, ?DEFAULT_TIMEOUT).

%% @doc As {@link getattr/2}, with a timeout or options.
-spec getattr(ref(), name(), options()) -> result().
getattr(Ref, Name, Options) ->
    py_object:attribute(Ref, Name, Options).

%% @doc The object as an Erlang term.
-spec to_term(ref()) -> result().
to_term(Ref) ->
    to_term(Ref, ?DEFAULT_TIMEOUT).

%% @doc As {@link to_term/1}, with a timeout or options.
-spec to_term(ref(), options()) -> result().
to_term(Ref, Options) ->
    py_object:to_term(Ref, Options).

%% @doc Whether a term stands for a Python object, even one that is gone with its worker.
-spec is_ref(term()) -> boolean().
is_ref(Term) ->
    py_object:is_ref(Term).

%% @doc Lets the worker drop an object now; otherwise the garbage collector sees to it. Work that was submitted before still
%% has the object.
-spec release(ref()) -> ok | {error, {badarg, ref}}.
release(Ref) ->
    py_object:release(Ref).

%% Python calls Erlang.

%% @doc Lets Python call a function as `erlang.call(Name, ...)', `erlang.NAME(...)' or after `from erlang import NAME'. It gets the
%% list of the arguments and runs in a process of its own. A name that is taken gets the new function.
-spec register_function(name(), fun(([term()]) -> term())) -> ok | {error, {badarg, name | function} | not_started}.
register_function(Name, Fun) ->
    py_callback:register(Name, Fun).

%% @doc As {@link register_function/2}, for `Module:Function/1'.
-spec register_function(name(), module(), atom()) -> ok | {error, {badarg, name | function} | not_started}.
register_function(Name, Module, Function) ->
    py_callback:register(Name, {Module, Function}).

%% @doc Ends what {@link register_function/2} began.
-spec unregister_function(name()) -> ok | {error, {badarg, name} | not_started}.
unregister_function(Name) ->
    py_callback:unregister(Name).

%% State that Erlang and all workers share.

%% @doc The value of a key.
-spec state_fetch(term()) -> {ok, term()} | {error, not_found}.
state_fetch(Key) ->
    py_state:fetch(Key).

%% @doc Sets the value of a key.
-spec state_store(term(), term()) -> ok.
state_store(Key, Value) ->
    py_state:store(Key, Value).

%% @doc Forgets a key.
-spec state_remove(term()) -> ok.
state_remove(Key) ->
    py_state:remove(Key).

%% @doc All keys, in no order.
-spec state_keys() -> [term()].
state_keys() ->
    py_state:keys().

%% @doc Forgets all keys.
-spec state_clear() -> ok.
state_clear() ->
    py_state:clear().

%% @doc Adds 1 to a counter and returns its new value. Atomic.
-spec state_incr(term()) -> integer() | {error, not_an_integer}.
state_incr(Key) ->
    py_state:incr(Key).

%% @doc Adds to a counter and returns its new value. Atomic.
-spec state_incr(term(), integer()) -> integer() | {error, not_an_integer}.
state_incr(Key, Amount) ->
    py_state:incr(Key, Amount).

%% @doc Subtracts 1 from a counter and returns its new value. Atomic.
-spec state_decr(term()) -> integer() | {error, not_an_integer}.
state_decr(Key) ->
    py_state:decr(Key).

%% @doc Subtracts from a counter and returns its new value. Atomic.
-spec state_decr(term(), integer()) -> integer() | {error, not_an_integer}.
state_decr(Key, Amount) ->
    py_state:decr(Key, Amount).

%% What runs.

%% @doc `sys.version' of pool `default'.
-spec version() -> {ok, binary()} | {error, not_started}.
version() ->
    py_info:version().

%% @doc Every interpreter runs in a process of its own, whatever the Python version.
-spec execution_mode() -> multi_process.
execution_mode() ->
    multi_process.

%% @doc Python version, and workers, executors and mode of each pool: `single', or `multi_executor' for
%% several threads under one GIL.
-spec execution_info() -> py_info:execution().
execution_info() ->
    py_info:execution().

%% @doc Interpreters of pool `default' that can run at once.
-spec num_executors() -> non_neg_integer().
num_executors() ->
    py_info:num_executors().

%% @doc Whether the Python of pool `default' has sub-interpreters with a GIL of their own. For information only:
%% workers are processes.
-spec subinterp_supported() -> boolean().
subinterp_supported() ->
    py_info:subinterp_supported().

%% @doc The workers of all pools.
-spec workers() -> [worker()].
workers() ->
    py_info:workers().

%% @doc Statistics of each pool, of the semaphore and of the native library.
-spec stats() -> py_info:stats().
stats() ->
    py_info:stats().

%% @doc Everything that is known of pools, workers, requests and threads, without waiting for any of them: to be printed with
%% `~tp' when something hangs.
-spec diagnose() -> py_diagnose:report().
diagnose() ->
    py_diagnose:report().

%% @doc What the Python threads of all workers are doing at this moment, also of workers that are stuck: files, lines, functions, and the
%% requests that they run. {@link py_stacks:format/1} makes text of it.
-spec stacks() -> [py_stacks:worker()].
stacks() ->
    py_stacks:all().

%% @doc As {@link stacks/0}, of one pool.
-spec stacks(atom()) -> [py_stacks:worker()] | {error, not_started | {badarg, pool}}.
stacks(Pool) ->
    py_stacks:of_pool(Pool).

%% @doc Shows pools, workers and the slowest requests in the terminal, again every second, until Enter is pressed. Without a terminal
%% it prints them once.
-spec top() -> ok | {error, not_started}.
top() ->
    py_top:run().

%% @doc As {@link top/0}, with options: `interval' has the milliseconds between two looks.
-spec top(py_top:options()) -> ok | {error, not_started | {badarg, options} | {bad_option, term()}}.
top(Options) ->
    py_top:run(Options).
