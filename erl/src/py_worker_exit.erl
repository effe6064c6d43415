%% @doc The log entry of a worker's death, when its exit status is there or does not come.
-module(py_worker_exit).

-export([log/5, last_words/4, hear_out/2, patience/0, close/1, status/1]).

-include_lib("kernel/include/logger.hrl").

-define(PATIENCE, 500).

%% @doc Says how the worker ended, and which Python stacks it had if it died of a fault.
-spec log(string(), pos_integer() | undefined, atom(), non_neg_integer() | unknown, binary()) -> ok.
%% A failed start has been logged.
log(_Name, _OsPid, start_failed, _Status, <<>>) ->
    ok;
log(Name, OsPid, Reason, Status, <<>>) ->
    ?LOG_WARNING("~ts: the worker (os pid ~p) ended: ~tp, ~ts", [Name, OsPid, Reason, status(Status)]);
log(Name, OsPid, Reason, Status, Stack) ->
    ?LOG_WARNING("~ts: the worker (os pid ~p) ended: ~tp, ~ts; its Python stacks:~n~ts", [Name, OsPid, Reason, status(Status), Stack]).

%% @doc As {@link log/5}, for a worker that is not started again and whose exit status nobody waits for, if it said something.
-spec last_words(string(), pos_integer() | undefined, atom(), py_worker_stacks:stacks()) -> ok.
last_words(Name, OsPid, Reason, Stacks) ->
    case py_worker_stacks:crash(Stacks) of
        <<>> -> ok;
        Stack -> log(Name, OsPid, Reason, unknown, Stack)
    end.

%% @doc Milliseconds that the exit status is waited for; children of the worker may keep it back.
-spec patience() -> ?PATIENCE.
patience() ->
    ?PATIENCE.

%% @doc As {@link log/5}, for workers that have just ended, when nobody is there later to hear how.
-spec hear_out(string(), #{port() => {pos_integer() | undefined, atom(), py_worker_stacks:stacks()}}) -> ok.
hear_out(Name, Exits) ->
    maps:foreach(fun(Port, Exit) -> hear_out(Name, Port, Exit) end, Exits).

hear_out(Name, Port, {OsPid, Reason, Stacks}) ->
    receive
        {Port, {data, Frame}} -> hear_out(Name, Port, {OsPid, Reason, py_worker_stacks:take_crash(Frame, Stacks)});
        {Port, {exit_status, Status}} -> log(Name, OsPid, Reason, Status, py_worker_stacks:crash(Stacks))
    after ?PATIENCE -> last_words(Name, OsPid, Reason, Stacks)
    end.

%% @doc Closes a port that may be closed already.
-spec close(port()) -> ok.
close(Port) ->
    try erlang:port_close(Port) of true -> ok catch error:badarg -> ok end.

%% @doc An exit status for people.
-spec status(non_neg_integer() | unknown) -> string().
status(unknown) -> "its exit status is not known yet";
status(Status) when Status > 128 -> lists:flatten(io_lib:format("signal ~b or exit status ~b", [Status - 128, Status]));
status(Status) -> lists:flatten(io_lib:format("exit status ~b", [Status])).
