%% @doc What this machine, this node and the configured Pythons are like for the library, what is wrong, and how to mend it.
%%
%% Made for when nothing works: needs neither the application nor the native library nor a Python, and looks with the functions that
%% the application starts with. What it starts ends with it.
-module(py_doctor).

-export([check/0, check/1, main/0, main/1]).

-export_type([place/0, problem/0, finding/0]).

-type place() :: erlang | configuration | machine | {pool, atom()}.
-type problem() :: {place(), Text :: string()}.
%% What is wrong and how to mend it, for people.
-type finding() :: {ok | warning | problem, Text :: string()}.

%% @doc Prints what there is to know about the node, the pools of the configuration and those that run, and the machine. An error if
%% anything is in the way of the application; what is only worth a thought is a warning in what is printed.
-spec check() -> ok | {error, [problem()]}.
check() ->
    check_pools(fun configured/0).

%% @doc As {@link check/0}, for a pool with these options (those of {@link py_pool:start_pool/2}) in the place of the configured ones.
-spec check(map() | [{atom(), term()}]) -> ok | {error, [problem()]}.
check(Options) ->
    check_pools(fun() ->
        case py_config:pool(checked, Options) of
            {ok, Config} -> {[], [{checked, Config}]};
            {error, {bad_config, Text}} -> {[{problem, Text}], []}
        end
    end).

%% @private The program of `make doctor'.
-spec main() -> no_return().
main() ->
    halted(check()).

%% @private
-spec main(map()) -> no_return().
main(Options) ->
    halted(check(Options)).

-spec halted(ok | {error, [problem()]}) -> no_return().
halted(ok) -> halt(0);
halted({error, _}) -> halt(1).

%% One check at a time: each leaves the native library as it has found it.
-spec check_pools(fun(() -> {[finding()], [{atom(), py_config:pool_config()}]})) -> ok | {error, [problem()]}.
check_pools(Pools) ->
    _ = application:load(erlang_python),
    global:trans({?MODULE, self()}, fun() -> examined(Pools) end, [node()]).

-spec examined(fun(() -> {[finding()], [{atom(), py_config:pool_config()}]})) -> ok | {error, [problem()]}.
examined(Pools) ->
    Native = py_app:native(),
    Facts = py_doctor_machine:facts(filename:join(py_app:priv(), "py_host")),
    Node = shown(erlang, "Erlang", py_doctor_machine:node(Native, Facts, py_app:priv())),
    {Wrong, Configs} = Pools(),
    Configuration = shown(configuration, "Configuration", Wrong),
    Pythons = [
        shown({pool, Name}, "Pool " ++ atom_to_list(Name), py_doctor_python:findings(Name, Config, py_app:priv(), Native =:= ok))
     || {Name, Config} <- Configs
    ],
    Machine = shown(machine, "Machine", py_doctor_machine:findings(Facts, [Config || {_, Config} <- Configs])),
    ended(lists:append([Node, Configuration, Machine | Pythons])).

%% The configured pools and those that run. A configuration that is refused says nothing about the default Python.
-spec configured() -> {[finding()], [{atom(), py_config:pool_config()}]}.
configured() ->
    {Wrong, Pools} =
        case py_config:load() of
            {ok, #{default := Default, pools := Named}} ->
                {[], [{default, Default} | Named]};
            {error, {bad_config, Text}} ->
                {ok, #{default := Default}} = py_config:load([]),
                {[{problem, Text}], [{default, Default}]}
        end,
    {Wrong, Pools ++ [{Name, py_pool:spec(Name)} || Name <- lists:sort(py_pool:names()), not lists:keymember(Name, 1, Pools)]}.

%% Prints a section when it is known. Its warnings and problems.
-spec shown(place(), string(), [finding()]) -> [{warning | problem, problem()}].
shown(_, _, []) ->
    [];
shown(Place, Title, Findings) ->
    io:format("~ts~n", [Title]),
    _ = [io:format("  ~-8ts ~ts~n", [Level, Text]) || {Level, Text} <- Findings],
    [{Level, {Place, Text}} || {Level, Text} <- Findings, Level =/= ok].

-spec ended([{warning | problem, problem()}]) -> ok | {error, [problem()]}.
ended(Found) ->
    Problems = [Problem || {problem, Problem} <- Found],
    io:format("~ts, ~ts~n", [count(length(Problems), "problem"), count(length(Found) - length(Problems), "warning")]),
    case Problems of
        [] -> ok;
        _ -> {error, Problems}
    end.

-spec count(non_neg_integer(), string()) -> string().
count(1, What) -> "1 " ++ What;
count(Number, What) -> integer_to_list(Number) ++ " " ++ What ++ "s".
