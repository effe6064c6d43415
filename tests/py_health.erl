%% What the node and its workers hold: nothing while nobody waits for an answer, and the same before and after.
-module(py_health).

-export([held/0, nothing_held/0, nothing_left/0, on_workers/1]).
-export([node_holds/0, as_before/1, lines/1, resident/1, children/0]).

%% What there is of requests in flight, each of which must be nothing when nobody waits for an answer.
held() ->
    _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
    Workers = [py_nif:worker_info(Worker) || {_, _, Worker, _, #{state := ready}} <- py_pool:workers()],
    Sum = fun(Key) -> lists:sum([N || #{Key := N} <- Workers]) end,
    Native = maps:with([slab_in_use, waiting, leases, blobs], py_nif:nif_info()),
    Native#{
        permits => py_nif:permits(),
        callbacks => map_size(sys:get_state(py_callback)),
        web_streams => ets:info(py_asgi_streams, size),
        parked => lists:sum([N || Name <- py_pool:names(), #{parked_requests := N} <- [py_pool:get_stats(Name)]]),
        in_flight => Sum(in_flight),
        handles => Sum(handles),
        objects => Sum(objects),
        streams => Sum(streams)
    }.

%% Waits until that is so.
nothing_held() ->
    py_test:until(fun() ->
        Held = held(),
        lists:all(fun(N) -> N =:= 0 end, maps:values(Held)) orelse Held
    end).

%% Waits until the application, which has stopped, has left nothing.
nothing_left() ->
    py_test:until(fun() ->
        %% A mapping goes with the last term that refers to it, wherever that lies.
        _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
        Left = (maps:with([slab_in_use, waiting, readers, mappings, incarnations], py_nif:nif_info()))#{
            running => length([erlang_python || {erlang_python, _, _} <- application:which_applications()]),
            permits => py_nif:permits(),
            terms => length(our_terms())
        },
        lists:all(fun(N) -> N =:= 0 end, maps:values(Left)) orelse Left
    end).

%% The value of an expression in every worker of the pools `default' and `async', in the order of their numbers.
on_workers(Code) ->
    [
        begin
            {ok, Value} = py_request:sync(Worker, {eval, Code, []}, 20000, 0),
            Value
        end
     || {_, Pool, Worker, _, #{state := ready}} <- lists:sort(py_pool:workers()), Pool =:= default orelse Pool =:= async
    ].

%% What the node holds of the system and of itself.
node_holds() ->
    _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
    #{
        processes => length(processes()),
        ports => length(erlang:ports()),
        tables => length(ets:all()),
        terms => length(our_terms()),
        atoms => erlang:system_info(atom_count),
        descriptors => length(element(2, file:list_dir("/proc/self/fd"))),
        threads => length(element(2, file:list_dir("/proc/self/task"))),
        memfds => length([Line || Line <- lines("/proc/self/maps"), string:find(Line, "memfd:") =/= nomatch]),
        children => length(children()),
        rss => resident("self")
    }.

%% Waits until the node holds no more than before, as far as that can be counted. What threads and processes of the system
%% leave goes at its own pace; memory that was kept warm may have gone.
as_before(Before) ->
    Counted = maps:without([rss], Before),
    py_test:until(fun() ->
        Now = maps:with(maps:keys(Counted), node_holds()),
        lists:all(fun({Key, Count}) -> Count =< map_get(Key, Counted) end, maps:to_list(Now)) orelse {Counted, Now}
    end).

our_terms() ->
    [Key || {Key, _} <- persistent_term:get(), is_ours(Key)].

is_ours({Key, _}) -> lists:prefix("py_", atom_to_list(Key));
is_ours(Key) when is_atom(Key) -> lists:prefix("py_", atom_to_list(Key));
is_ours(_) -> false.

lines(File) ->
    case file:read_file(File) of
        {ok, Bytes} -> binary:split(Bytes, <<"\n">>, [global]);
        {error, _} -> []
    end.

%% KiB of a process, 0 if there is none.
resident(OsPid) ->
    case [L || <<"VmRSS:", L/binary>> <- lines(["/proc/", OsPid, "/status"])] of
        [Line] -> binary_to_integer(hd(string:lexemes(Line, "\t kB")));
        [] -> 0
    end.

%% The processes that the node has started, through the helper that starts port programs; dead ones that nobody has reaped count.
children() ->
    Parents = maps:from_list([
        {Pid, Parent}
     || Dir <- filelib:wildcard("/proc/[0-9]*"),
        {ok, Stat} <- [file:read_file(Dir ++ "/stat")],
        [Pid, Rest] <- [string:split(Stat, " ")],
        [_, <<_, " ", Fields/binary>>] <- [string:split(Rest, ") ", trailing)],
        Parent <- [hd(binary:split(Fields, <<" ">>))]
    ]),
    Own = list_to_binary(os:getpid()),
    [Pid || {Pid, Parent} <- maps:to_list(Parents), maps:get(Parent, Parents, none) =:= Own].
