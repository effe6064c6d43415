%% @doc Runs a program that answers and ends.
-module(py_program).

-export([run/3, last_line/1]).

-define(PATIENCE, 30000).

%% @doc What a program prints, on either output; an error with its last line if it ends with another status than 0 or not within 30 seconds.
-spec run(file:filename_all(), [string()], [{env, [{string(), string() | false}]} | {cd, file:filename_all()}]) ->
    {ok, binary()} | {error, string()}.
run(Path, Args, Settings) ->
    Options = [{args, Args}, binary, exit_status, stderr_to_stdout, hide | Settings],
    %% In a process of its own: a port sends its owner an exit signal, which is a message to those who trap exits.
    {Pid, Monitor} = spawn_monitor(fun() -> exit({ended, ended(Path, Options)}) end),
    receive
        {'DOWN', Monitor, process, Pid, {ended, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> {error, text("~tp", [Reason])}
    end.

ended(Path, Options) ->
    try erlang:open_port({spawn_executable, Path}, Options) of
        Port -> collect(Port, [], erlang:monotonic_time(millisecond) + ?PATIENCE)
    catch
        error:Reason -> {error, text("~tp", [Reason])}
    end.

-spec collect(port(), iodata(), integer()) -> {ok, binary()} | {error, string()}.
collect(Port, Output, Deadline) ->
    receive
        {Port, {data, Data}} -> collect(Port, [Output, Data], Deadline);
        {Port, {exit_status, 0}} -> {ok, iolist_to_binary(Output)};
        {Port, {exit_status, Status}} -> {error, text("exit status ~b, ~ts", [Status, last_line(iolist_to_binary(Output))])}
    after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
        kill(Port),
        {error, text("it did not answer within ~b ms", [?PATIENCE])}
    end.

-spec kill(port()) -> ok.
kill(Port) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} -> _ = os:cmd("kill -9 " ++ integer_to_list(Pid)), ok;
        undefined -> ok
    end,
    try erlang:port_close(Port) of true -> ok catch error:badarg -> ok end.

%% @doc The last line of an output that is not empty.
-spec last_line(binary()) -> binary().
last_line(Output) ->
    lists:last([<<"no output">> | [L || L <- binary:split(Output, <<"\n">>, [global]), L =/= <<>>]]).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
