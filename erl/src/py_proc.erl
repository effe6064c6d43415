%% @doc What Linux tells of processes and threads in `/proc'.
-module(py_proc).

-export([dir/1, stat/1, rss/1]).

-export_type([stat/0]).

-type stat() :: #{name := binary(), state := binary(), ticks := non_neg_integer()}.
%% `state' as `ps' has it; `ticks' of processor time, of user and system.

%% @doc The directory of a process.
-spec dir(pos_integer()) -> string().
dir(OsPid) ->
    "/proc/" ++ integer_to_list(OsPid).

%% @doc Of a process or a thread, by its directory; `error' for one that is gone.
-spec stat(string()) -> {ok, stat()} | error.
stat(Dir) ->
    case file:read_file(Dir ++ "/stat") of
        {ok, Stat} ->
            %% The name stands in brackets and may hold anything.
            [Front, Back] = string:split(Stat, ") ", trailing),
            [_, Name] = string:split(Front, " ("),
            [State | Fields] = binary:split(Back, <<" ">>, [global]),
            {ok, #{name => Name, state => State, ticks => binary_to_integer(lists:nth(11, Fields)) + binary_to_integer(lists:nth(12, Fields))}};
        {error, _} ->
            error
    end.

%% @doc Resident memory of a process in bytes; 0 for one that is gone.
-spec rss(undefined | pos_integer()) -> non_neg_integer().
rss(undefined) ->
    0;
rss(OsPid) ->
    case file:read_file(dir(OsPid) ++ "/status") of
        {ok, Status} ->
            case re:run(Status, "VmRSS:\\s+(\\d+) kB", [{capture, all_but_first, binary}]) of
                {match, [KiB]} -> binary_to_integer(KiB) * 1024;
                nomatch -> 0
            end;
        {error, _} ->
            0
    end.
