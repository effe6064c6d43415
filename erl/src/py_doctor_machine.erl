%% @doc What {@link py_doctor} finds out about the emulator, the native parts and the machine.
-module(py_doctor_machine).

-export([facts/1, node/3, findings/2]).

-export_type([facts/0]).

-type facts() :: {ok, #{binary() => binary()}} | {error, string()}.
%% What the worker program says, `worker/host/src/facts.rs'.

-define(MIB, (1024 * 1024)).
%% An interpreter that has imported little.
-define(INTERPRETER, 16 * ?MIB).
%% Of the node, for one worker: port, bells, pidfd and some large payloads; and for all else.
-define(DESCRIPTORS, 16).
-define(DESCRIPTORS_OF_NODE, 128).
%% Processes and threads, which count alike, of one worker and of the node.
-define(THREADS, 16).
-define(THREADS_OF_NODE, 128).
%% Locks and queues of multiprocessing are small; segments of its `shared_memory' are not.
-define(SMALL_SHM, 16 * ?MIB).

%% @doc Runs the worker program.
-spec facts(file:filename()) -> facts().
facts(Host) ->
    case py_program:run(Host, ["--facts"], []) of
        {ok, Output} ->
            Lines = [binary:split(Line, <<" ">>) || Line <- binary:split(Output, <<"\n">>, [global])],
            {ok, maps:from_list([{Key, Value} || [Key, Value] <- Lines])};
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc The emulator and the native parts.
-spec node(ok | {error, {nif_not_loaded, string()}}, facts(), file:filename()) -> [py_doctor:finding()].
node(Native, Facts, Priv) ->
    [emulator(), system(), kernel(), library(Native, Priv), host(Facts, Priv), core(Priv) | builds(Native, Facts)].

emulator() ->
    Release = erlang:system_info(otp_release),
    Flavour = [atom_to_list(erlang:system_info(Item)) || Item <- [emu_flavor, emu_type], erlang:system_info(Item) =/= opt],
    Text = text("Erlang/OTP ~ts, ERTS ~ts (~ts)", [Release, erlang:system_info(version), lists:join(", ", Flavour)]),
    case {list_to_integer(Release), erlang:system_info(emu_type)} of
        {Number, _} when Number < 25 -> {problem, Text ++ ": install Erlang/OTP 25 or later"};
        {_, opt} -> {ok, Text};
        {_, _} -> {warning, Text ++ " is slow: use an emulator of type opt"}
    end.

system() ->
    Architecture = erlang:system_info(system_architecture),
    Known = lists:any(fun(Name) -> lists:prefix(Name, Architecture) end, ["x86_64", "aarch64"]),
    case os:type() of
        {unix, linux} when Known -> {ok, "system " ++ Architecture};
        _ -> {problem, text("the system is ~ts: the library needs Linux on x86_64 or aarch64, 64 bits", [Architecture])}
    end.

%% Processes are watched by pidfds.
kernel() ->
    case os:version() of
        {Major, Minor, Patch} when {Major, Minor} < {5, 3} -> {problem, text("Linux ~b.~b.~b: install a kernel from 5.3 on", [Major, Minor, Patch])};
        {Major, Minor, Patch} -> {ok, text("Linux ~b.~b.~b", [Major, Minor, Patch])};
        Text -> {ok, text("kernel ~ts", [Text])}
    end.

library(ok, Priv) -> {ok, text("native library ~ts, version ~ts", [filename:join(Priv, "py_nif.so"), maps:get(version, py_nif:nif_info())])};
library({error, {_, Text}}, _) -> {problem, Text}.

host({ok, Facts}, Priv) ->
    {ok, text("worker program ~ts, version ~ts", [filename:join(Priv, "py_host"), maps:get(<<"version">>, Facts, <<"unknown">>)])};
host({error, Reason}, Priv) ->
    {problem, text("could not run ~ts: ~ts. " ++ rebuild(), [filename:join(Priv, "py_host"), Reason])}.

core(Priv) ->
    Core = filename:join(Priv, "py_core.so"),
    case filelib:is_regular(Core) of
        true -> {ok, text("worker library ~ts", [Core])};
        false -> {problem, text("there is no ~ts. " ++ rebuild(), [Core])}
    end.

%% A worker finds differences within one version.
builds(ok, {ok, #{<<"version">> := Version}}) ->
    case maps:get(version, py_nif:nif_info()) of
        Version -> [];
        _ -> [{problem, "native library and worker program are of different versions. " ++ rebuild()}]
    end;
builds(_, _) ->
    [].

rebuild() -> "Build the application again: `make build', or `rebar3 compile' in a project that depends on it".

%% @doc The machine, for pools of these configurations.
-spec findings(facts(), [py_config:pool_config()]) -> [py_doctor:finding()].
findings(Told, Configs) ->
    Facts = case Told of {ok, Map} -> Map; {error, _} -> #{} end,
    Workers = lists:sum([Number || #{num_workers := Number} <- Configs]),
    [processors() | memory(Facts, Configs)] ++
        shared_memory(Facts, Configs) ++ huge_pages() ++ limits(Workers) ++ sandbox(Facts, Configs) ++ [installer()].

processors() ->
    Processors = py_threads:processors(),
    Online = erlang:system_info(schedulers_online),
    Text = text("~b processors, ~b schedulers", [Processors, Online]),
    case Online > Processors of
        true -> {warning, text("~ts: start the node with `+S ~b', or it competes with itself and its workers", [Text, Processors])};
        false -> {ok, Text}
    end.

memory(#{<<"memory_left">> := Left} = Facts, Configs) ->
    Needed = lists:sum([N * (?INTERPRETER + 2 * (Ring + Arena)) || #{num_workers := N, ring_size := Ring, arena_size := Arena} <- Configs]),
    Group = case Facts of #{<<"memory_limit">> := Limit} -> text(", limited to ~ts by the control group", [bytes(Limit)]); _ -> "" end,
    Text = text("~ts of memory left~ts; the workers need ~ts at least", [bytes(Left), Group, bytes(Needed)]),
    case binary_to_integer(Left) >= Needed of
        true -> [{ok, Text}];
        false -> [{problem, Text ++ ": lower num_workers, or give the machine or container more"}]
    end;
memory(_, _) ->
    [].

shared_memory(#{<<"sealed_memfds">> := Serves} = Facts, Configs) ->
    Size = binary_to_integer(maps:get(<<"dev_shm">>, Facts, <<"0">>)),
    Shm = case Size of 0 -> "there is no /dev/shm"; _ -> text("/dev/shm has ~ts", [bytes(Size)]) end,
    Named = Serves =/= <<"true">> orelse lists:any(fun(Config) -> maps:get(segments, Config) =:= named end, Configs),
    Needed = lists:sum([N * 2 * (Ring + Arena) || #{num_workers := N, ring_size := Ring, arena_size := Arena} <- Configs]),
    [
        case Serves of
            <<"true">> -> {ok, "segments are sealed memfds, which do not need /dev/shm"};
            _ -> {warning, "no sealed memfds through /proc: segments have names in /dev/shm and a worker can do more harm; allow memfd_create and mount /proc"}
        end,
        if
            Named, Size < Needed -> {problem, text("~ts, the named segments need ~ts: mount more, in a container with --shm-size", [Shm, bytes(Needed)])};
            Size < ?SMALL_SHM -> {warning, Shm ++ ", which only Python's multiprocessing needs: mount more, in a container with --shm-size"};
            Named -> {ok, Shm};
            true -> {ok, Shm ++ ", which only Python's multiprocessing needs"}
        end
    ];
shared_memory(_, _) ->
    [].

huge_pages() ->
    case file:read_file("/sys/kernel/mm/transparent_hugepage/enabled") of
        {ok, Text} ->
            case re:run(Text, "\\[(\\w+)\\]", [{capture, all_but_first, list}]) of
                {match, ["never"]} ->
                    [{warning, "no transparent huge pages, large objects are slower: write madvise to /sys/kernel/mm/transparent_hugepage/enabled"}];
                {match, [Mode]} -> [{ok, "transparent huge pages: " ++ Mode}];
                nomatch -> []
            end;
        {error, _} -> []
    end.

limits(Workers) ->
    case file:read_file("/proc/self/limits") of
        {ok, Text} -> lists:append([limited(Name, soft(Text, Name), Workers) || Name <- ["open files", "processes", "address space", "core file size"]]);
        {error, _} -> []
    end.

%% The soft limit; none if it is not told.
soft(Text, Name) ->
    case re:run(Text, "^Max " ++ Name ++ "\\s+(\\d+|unlimited)", [multiline, {capture, all_but_first, list}]) of
        {match, ["unlimited"]} -> infinity;
        {match, [Number]} -> list_to_integer(Number);
        nomatch -> none
    end.

limited(_, none, _) ->
    [];
limited("open files", Limit, Workers) ->
    [enough(Limit, ?DESCRIPTORS_OF_NODE + Workers * ?DESCRIPTORS, "descriptors", "-n")];
limited("processes", Limit, Workers) ->
    [enough(Limit, ?THREADS_OF_NODE + Workers * ?THREADS, "processes and threads of this user", "-u")];
limited("address space", infinity, _) ->
    [{ok, "address space: unlimited"}];
limited("address space", Limit, _) ->
    [{warning, text("address space is limited to ~ts, which counts what is never used: raise it with `ulimit -v unlimited' and limit memory by option memory_limit", [bytes(Limit)])}];
limited("core file size", 0, _) ->
    [{ok, "no core files"}];
limited("core file size", Limit, _) ->
    Size = case Limit of infinity -> "any size"; _ -> "up to " ++ bytes(Limit) end,
    [{ok, text("workers that crash may leave core files of ~ts; `ulimit -c 0' avoids that", [Size])}].

enough(Limit, Needed, What, Flag) when Limit < Needed ->
    {warning, text("~b ~ts may be too few: raise the limit with `ulimit ~ts' or in the service manager to ~b at least", [Limit, What, Flag, Needed])};
enough(infinity, _, What, _) ->
    {ok, What ++ ": unlimited"};
enough(Limit, _, What, _) ->
    {ok, text("~ts: ~b", [What, Limit])}.

sandbox(#{<<"landlock">> := Landlock, <<"seccomp">> := Seccomp}, Configs) ->
    Needed = [required || #{sandbox := Sandbox} <- Configs, Sandbox =/= false, Sandbox =:= true orelse maps:get(required, Sandbox, true)] =/= [],
    Missing = ["Landlock (Linux 5.13, boot parameter lsm=)" || Landlock =:= <<"0">>] ++ ["seccomp" || Seccomp =/= <<"true">>],
    case {Missing, Needed} of
        {[], _} -> [{ok, text("option sandbox is possible: Landlock ~ts, seccomp", [Landlock])}];
        {_, false} -> [{ok, text("option sandbox is not possible: this kernel has no ~ts", [lists:join(", no ", Missing)])}];
        {_, true} -> [{problem, text("this kernel has no ~ts, which option sandbox needs: enable it, or leave the option away", [lists:join(", no ", Missing)])}]
    end;
sandbox(_, _) ->
    [].

installer() ->
    case os:find_executable("uv") of
        false -> {ok, "no uv on PATH: py:ensure_venv takes venv and pip"};
        Uv -> {ok, "uv: " ++ Uv}
    end.

-spec bytes(binary() | non_neg_integer()) -> string().
bytes(Number) when is_binary(Number) -> bytes(binary_to_integer(Number));
bytes(Number) when Number >= 10240 * ?MIB -> text("~b GiB", [Number div (1024 * ?MIB)]);
bytes(Number) -> text("~b MiB", [Number div ?MIB]).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
