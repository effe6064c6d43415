%% @doc What the Python threads of the workers are doing, also of those that are stuck.
%%
%% All workers are asked at once. One that does not answer in time is reported as such; no other one, and no scheduler, waits for it.
-module(py_stacks).

-export([all/0, of_pool/1, of_workers/1, format/1]).

-export_type([worker/0, thread/0, frame/0]).

-type worker() :: #{
    id := non_neg_integer(),
    pool := atom(),
    os_pid := pos_integer() | undefined,
    state := atom(),
    lock => free | kept,
    threads => [thread()],
    error => down | starting | stopped | no_answer | binary()
}.
%% Either `lock' and `threads', or `error': the worker has no process, has only begun to start, was stopped by a signal, says nothing,
%% or says why it cannot tell. `lock': whether Python's lock was kept all the time, that is, a thread is busy or stuck in C code.
-type thread() :: #{
    ident := non_neg_integer(),
    name := unicode:unicode_binary(),
    request => #{id := non_neg_integer(), caller => pid()},
    frames := [frame()]
}.
%% `ident' as `threading.get_ident()' has it; `name' may be empty where the lock was kept; the frames of Python functions, the innermost first,
%% none in an executor that waits for work.
-type frame() :: #{file := unicode:unicode_binary(), line := non_neg_integer(), function := unicode:unicode_binary()}.

%% How long the process that looks after a worker may take; it gives the worker less.
-define(PATIENCE, 5000).

%% @private For {@link py:stacks/0}.
-spec all() -> [worker()].
all() ->
    look(py_pool:workers()).

%% @private For {@link py:stacks/1}.
-spec of_pool(atom()) -> [worker()] | {error, not_started | {badarg, pool}}.
of_pool(Pool) when is_atom(Pool) ->
    case lists:member(Pool, py_pool:names()) of
        true -> look([Row || {_, P, _, _, _} = Row <- py_pool:workers(), P =:= Pool]);
        false -> {error, not_started}
    end;
of_pool(_) ->
    {error, {badarg, pool}}.

%% @private Of workers with these numbers.
-spec of_workers([non_neg_integer()]) -> [worker()].
of_workers(Ids) ->
    look([Row || {Id, _, _, _, _} = Row <- py_pool:workers(), lists:member(Id, Ids)]).

-spec look([py_pool:worker_row()]) -> [worker()].
look(Rows) ->
    Deadline = erlang:monotonic_time(millisecond) + ?PATIENCE,
    Asked = [{Row, gen_statem:send_request(Pid, stacks)} || {_, _, _, _, #{pid := Pid}} = Row <- lists:sort(Rows)],
    Workers = [worker(Row, answer(Request, Deadline)) || {Row, Request} <- Asked],
    with_callers(Workers).

-spec answer(gen_statem:request_id(), integer()) -> {ok, binary()} | {error, atom()}.
answer(Request, Deadline) ->
    case gen_statem:receive_response(Request, max(0, Deadline - erlang:monotonic_time(millisecond))) of
        {reply, Answer} -> Answer;
        {error, _} -> {error, down};
        timeout -> {error, no_answer}
    end.

-spec worker(py_pool:worker_row(), {ok, binary()} | {error, atom()}) -> worker().
worker({Id, Pool, _, _, #{state := State, os_pid := OsPid}}, Answer) ->
    Base = #{id => Id, pool => Pool, os_pid => OsPid, state => State},
    case Answer of
        {ok, Text} -> maps:merge(Base, py_stacks_text:parse(Text));
        {error, no_answer} -> Base#{error => silent(OsPid)};
        {error, Reason} -> Base#{error => Reason}
    end.

-spec silent(pos_integer() | undefined) -> stopped | no_answer.
silent(undefined) ->
    no_answer;
silent(OsPid) ->
    case py_proc:stat(py_proc:dir(OsPid)) of
        {ok, #{state := State}} when State =:= <<"T">>; State =:= <<"t">> -> stopped;
        _ -> no_answer
    end.

%% Whose requests the threads run.
-spec with_callers([worker()]) -> [worker()].
with_callers(Workers) ->
    case [run || #{threads := Threads} <- Workers, #{request := _} <- Threads] of
        [] ->
            Workers;
        _ ->
            Callers = maps:from_list([{Id, Pid} || #{id := Id, caller := Pid} <- maps:get(requests, py_nif:diagnose()), is_pid(Pid)]),
            [with_callers(Worker, Callers) || Worker <- Workers]
    end.

with_callers(#{threads := Threads} = Worker, Callers) ->
    Worker#{threads := [with_caller(Thread, Callers) || Thread <- Threads]};
with_callers(Worker, _Callers) ->
    Worker.

with_caller(#{request := #{id := Id} = Request} = Thread, Callers) when is_map_key(Id, Callers) ->
    Thread#{request := Request#{caller => map_get(Id, Callers)}};
with_caller(Thread, _Callers) ->
    Thread.

%% @doc For people: to be printed with `io:put_chars/1'.
-spec format([worker()]) -> unicode:chardata().
format(Workers) ->
    [text(Worker) || Worker <- Workers].

text(#{id := Id, pool := Pool, os_pid := OsPid, state := State} = Worker) ->
    [io_lib:format("worker ~b of pool ~ts, os pid ~p, ~ts", [Id, Pool, OsPid, State]), said(Worker)].

said(#{error := Reason}) -> io_lib:format(": ~ts~n", [Reason]);
said(#{lock := free, threads := Threads}) -> ["\n" | lists:map(fun thread/1, Threads)];
said(#{lock := kept, threads := Threads}) -> [", a thread keeps Python's lock\n" | lists:map(fun thread/1, Threads)].

thread(#{name := Name, ident := Ident, frames := Frames} = Thread) ->
    Known = case Name of <<>> -> io_lib:format("thread ~.16#", [Ident]); _ -> Name end,
    ["  ", Known, doing(Thread), "\n" | lists:map(fun frame/1, Frames)].

doing(#{request := #{id := Id, caller := Caller}}) -> io_lib:format(", request ~b of ~p", [Id, Caller]);
doing(#{request := #{id := Id}}) -> io_lib:format(", request ~b", [Id]);
doing(#{frames := []}) -> ", idle";
doing(_) -> "".

frame(#{file := File, line := Line, function := Function}) ->
    io_lib:format("    ~ts:~b in ~ts~n", [File, Line, Function]).
