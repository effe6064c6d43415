%% @doc Option `sandbox': what it may say, and what the worker's host is told.
%%
%% The host (`worker/host/src/sandbox') closes the sandbox before it becomes Python; docs/api.md lists the settings,
%% docs/THREAT-MODEL.md says what they are worth.
-module(py_sandbox).

-export([check/1, arguments/1, callers_only/1]).

-export_type([sandbox/0]).

-type sandbox() ::
    boolean()
    | #{
        read => all | [file:filename_all()],
        write => [file:filename_all()],
        network => boolean(),
        unix_sockets => boolean(),
        shared_memory => boolean(),
        metadata => boolean(),
        messages => boolean(),
        processes => non_neg_integer(),
        files => pos_integer(),
        cpu => pos_integer(),
        required => boolean()
    }.

%% A worker with fewer descriptors cannot serve.
-define(MIN_FILES, 64).

%% @doc True, or what would be right.
-spec check(term()) -> true | string().
check(Sandbox) when is_boolean(Sandbox) ->
    true;
check(Sandbox) when is_map(Sandbox) ->
    case [text("a map in which ~tp is ~ts", [Key, Expected]) || {Key, Value} <- maps:to_list(Sandbox), Expected <- wrong(Key, Value)] of
        [] -> true;
        [First | _] -> First
    end;
check(_) ->
    "true, false or a map of settings".

%% What is expected, if the value is something else.
-spec wrong(term(), term()) -> [string()].
wrong(read, all) -> [];
wrong(Key, Paths) when Key =:= read; Key =:= write ->
    ["a list of absolute paths that exist" || not (is_list(Paths) andalso lists:all(fun exists/1, Paths))];
wrong(Key, Value) when Key =:= network; Key =:= unix_sockets; Key =:= shared_memory; Key =:= metadata; Key =:= messages; Key =:= required ->
    ["true or false" || not is_boolean(Value)];
wrong(processes, N) ->
    ["a number of processes, 0 for none" || not (is_integer(N) andalso N >= 0 andalso N < 1 bsl 22)];
wrong(files, N) ->
    [text("a number of descriptors from ~b on", [?MIN_FILES]) || not (is_integer(N) andalso N >= ?MIN_FILES andalso N < 1 bsl 31)];
wrong(cpu, N) ->
    ["a number of seconds" || not (is_integer(N) andalso N > 0 andalso N < 1 bsl 31)];
wrong(_, _) ->
    ["not: the settings are read, write, network, unix_sockets, shared_memory, metadata, messages, processes, files, cpu and required"].

-spec exists(term()) -> boolean().
exists(Path) when is_binary(Path), Path =/= <<>> ->
    binary:match(Path, <<0>>) =:= nomatch andalso filename:pathtype(Path) =:= absolute andalso there(Path);
exists([_ | _] = Path) ->
    io_lib:char_list(Path) andalso not lists:member(0, Path) andalso filename:pathtype(Path) =:= absolute andalso there(Path);
exists(_) ->
    false.

%% Devices are no files to `filelib'.
-spec there(file:filename_all()) -> boolean().
there(Path) ->
    case file:read_file_info(Path) of
        {ok, _} -> true;
        {error, _} -> false
    end.

%% @doc Arguments of the host for a pool.
-spec arguments(py_pool:spec()) -> [string() | binary()].
arguments(#{sandbox := false}) ->
    [];
arguments(#{sandbox := true} = Spec) ->
    arguments(Spec#{sandbox := #{}});
arguments(#{sandbox := Sandbox} = Spec) ->
    Read =
        case maps:get(read, Sandbox, []) of
            all -> ["/"];
            Paths -> own(Spec) ++ Paths
        end,
    Others = maps:to_list(maps:without([read, write, messages], Sandbox)),
    Settings =
        [["read=", Path] || Path <- Read] ++
            [["write=", Path] || Path <- maps:get(write, Sandbox, [])] ++
            [[atom_to_list(Key), $=, value(Value)] || {Key, Value} <- Others],
    %% One setting at least: this is what makes it a sandbox.
    lists:append([["--sandbox", unicode:characters_to_binary(S)] || S <- [["required=true"] | Settings]]).

%% @doc Whether `erlang.send' reaches nobody but callers, which the node sees to.
-spec callers_only(py_pool:spec()) -> boolean().
callers_only(#{sandbox := false}) -> false;
callers_only(#{sandbox := #{messages := Anybody}}) -> not Anybody;
callers_only(_) -> true.

-spec value(boolean() | integer()) -> string().
value(Flag) when is_boolean(Flag) -> atom_to_list(Flag);
value(Number) -> integer_to_list(Number).

%% What the other options of the pool name, and the interpreter.
-spec own(py_pool:spec()) -> [file:filename_all()].
own(#{core := Core, interpreter := #{home := Home, executable := Executable}, venv := Venv, paths := Paths, cd := Cd, preload := Preload}) ->
    Named = [Venv, Cd, filename:dirname(Core), Executable | Home ++ Paths ++ files(Preload)],
    lists:usort([Path || P <- Named, P =/= undefined, Path <- [filename:absname(P)], there(Path)]).

-spec files(term()) -> [file:filename_all()].
files({file, Path}) -> [Path];
files([H | _] = List) when not is_integer(H) -> lists:append([files(P) || P <- List]);
files(_) -> [].

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
