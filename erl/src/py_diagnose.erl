%% @doc What goes on, for people who look for the reason of a hang.
%%
%% No process is waited for: figures come from tables, from the native layer, and from `/proc'. What a process says of itself is
%% asked through the emulator, by helpers that are given up after a moment.
-module(py_diagnose).

-export([report/0]).

-export_type([report/0, thread/0]).

-type report() :: #{
    native := #{atom() => term()},
    pools := #{atom() => map()},
    workers := [#{atom() => term()}],
    requests := [#{atom() => term()}],
    servers := #{atom() => map() | no_answer},
    bindings := [#{atom() => term()}],
    threads := [thread()]
}.
%% `native': counts of the native layer; `workers': one map for each row of the table, `incarnations' being what the native layer
%% knows of it, `threads' those of its process; `requests': those in flight, 1000 at most; `servers': processes of the
%% application; `threads': those of the node that belong to the application.
-type thread() :: #{tid := integer(), name := binary(), state := binary(), waits_in := binary(), ticks := non_neg_integer()}.
%% `state' as `ps' has it, `waits_in' the function of the kernel, where it tells; `ticks' of processor time.

%% How long a process may take to be looked at.
-define(PATIENCE, 200).

%% @doc The report.
-spec report() -> report().
report() ->
    Native = native(),
    Rows = py_pool:workers(),
    Incarnations = case Native of #{workers := List} when is_list(List) -> List; _ -> [] end,
    Servers = servers(),
    Owners = [{Id, Pid} || {Id, _, _, _, #{pid := Pid}} <- Rows],
    Seen = looks([{{server, Name}, Pid} || {Name, Pid} <- Servers] ++ [{{owner, Id}, Pid} || {Id, Pid} <- Owners]),
    #{
        native => maps:without([workers, requests], Native),
        pools => maps:from_list([{Name, pool(Name)} || Name <- py_pool:names()]),
        workers => [worker(Row, Incarnations, Seen) || Row <- Rows],
        requests => maps:get(requests, Native, []),
        servers => maps:from_list([{Name, maps:get({server, Name}, Seen)} || {Name, _} <- Servers]),
        bindings => bindings(),
        threads => [Thread || #{name := <<"py_", _/binary>>} = Thread <- threads("self")]
    }.

-spec native() -> #{atom() => term()}.
native() ->
    try py_nif:diagnose()
    catch
        %% The library could not be loaded.
        error:not_loaded -> #{}
    end.

pool(Name) ->
    case py_pool:native(Name) of
        undefined -> #{state => closed};
        Pool -> (py_nif:pool_info(Pool))#{state => open}
    end.

-spec worker(py_pool:worker_row(), [map()], map()) -> map().
worker({Id, Pool, _, Joined, #{os_pid := OsPid} = Info}, Incarnations, Seen) ->
    Info#{
        id => Id, pool => Pool, joined => Joined, owner => maps:get({owner, Id}, Seen),
        incarnations => [Incarnation || #{id := I} = Incarnation <- Incarnations, I =:= Id],
        threads => case OsPid of undefined -> []; _ -> threads(integer_to_list(OsPid)) end
    }.

bindings() ->
    case ets:whereis(py_contexts) of
        undefined -> [];
        Table -> [#{context => C, owner => Owner, pool => Pool, granted => Granted} || {C, Owner, Pool, Granted} <- ets:tab2list(Table)]
    end.

-spec servers() -> [{atom(), pid()}].
servers() ->
    Registered = [py_sup, py_deadline, py_exec_log, py_callback, py_context, py_logger, py_tracer, py_events, py_slow],
    Pools = case ets:whereis(py_pools) of undefined -> []; Table -> ets:select(Table, [{{{server, '$1'}, '$2'}, [], [{{'$1', '$2'}}]}]) end,
    [{Name, Pid} || Name <- Registered, Pid <- [whereis(Name)], is_pid(Pid)] ++ [{Name, Pid} || {Name, Pid} <- Pools].

%% What each process does, by its key.
-spec looks([{Key, pid()}]) -> #{Key => map() | no_answer}.
looks(Keyed) ->
    Tag = make_ref(),
    Self = self(),
    Helpers = [spawn_monitor(fun() -> Self ! {Tag, Key, look(Pid)} end) || {Key, Pid} <- Keyed],
    Timer = erlang:start_timer(?PATIENCE, self(), Tag),
    Seen = gather(Tag, Timer, length(Keyed), #{}),
    _ = erlang:cancel_timer(Timer),
    _ = [exit(Helper, kill) || {Helper, _} <- Helpers],
    %% Nothing of theirs arrives afterwards.
    _ = [receive {'DOWN', Monitor, process, _, _} -> ok end || {_, Monitor} <- Helpers],
    ok = flush(Tag, Timer),
    maps:merge(maps:from_list([{Key, no_answer} || {Key, _} <- Keyed]), Seen).

look(Pid) ->
    case process_info(Pid, [status, current_function, message_queue_len, reductions]) of
        undefined -> #{pid => Pid, status => dead};
        Info -> (maps:from_list(Info))#{pid => Pid}
    end.

gather(_Tag, _Timer, 0, Seen) ->
    Seen;
gather(Tag, Timer, Left, Seen) ->
    receive
        {Tag, Key, Look} -> gather(Tag, Timer, Left - 1, Seen#{Key => Look});
        {timeout, Timer, Tag} -> Seen
    end.

flush(Tag, Timer) ->
    receive
        {Tag, _, _} -> flush(Tag, Timer);
        {timeout, Timer, Tag} -> flush(Tag, Timer)
    after 0 ->
        ok
    end.

-spec threads(string()) -> [thread()].
threads(OsPid) ->
    Dir = "/proc/" ++ OsPid ++ "/task",
    case file:list_dir(Dir) of
        {ok, Tids} -> lists:append([thread(Dir ++ "/" ++ Tid, list_to_integer(Tid)) || Tid <- lists:sort(Tids)]);
        {error, _} -> []
    end.

-spec thread(nonempty_string(), integer()) -> [thread()].
thread(Dir, Tid) ->
    case py_proc:stat(Dir) of
        {ok, Stat} -> [Stat#{tid => Tid, waits_in => read(Dir ++ "/wchan")}];
        error -> []
    end.

read(File) ->
    case file:read_file(File) of
        {ok, <<"0">>} -> <<>>;
        {ok, Text} -> Text;
        {error, _} -> <<>>
    end.
