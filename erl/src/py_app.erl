%% @doc Start and stop of the application.
-module(py_app).

-behaviour(application).

-export([start/2, prep_stop/1, stop/1, native/0, priv/0]).

%% @doc Checks the configuration, starts the pools and waits until their workers serve.
%%
%% Fails with `{Tag, Text}': `bad_config', `no_python', `nif_not_loaded', `exhausted' or `worker_start_failed'; the text
%% says what is wrong and how to fix it.
-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case native() of
        ok ->
            case py_config:load() of
                {ok, Config} -> start(Config);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%% @private Loads the native library.
-spec native() -> ok | {error, {nif_not_loaded, string()}}.
native() ->
    case code:ensure_loaded(py_nif) of
        {module, py_nif} ->
            ok;
        {error, _} ->
            Text = io_lib:format(
                "~ts: build it with `make build' in the repository, or with `rebar3 compile' in a project that depends on it; both need cargo",
                [persistent_term:get({py_nif, load_error}, "could not load py_nif.so (the log has the reason)")]
            ),
            {error, {nif_not_loaded, lists:flatten(Text)}}
    end.

%% @private Directory of the native parts, also where the native library cannot be loaded.
-spec priv() -> file:filename().
priv() ->
    case code:priv_dir(erlang_python) of
        {error, bad_name} -> filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
        Dir -> Dir
    end.

-spec start(py_config:config()) -> {ok, pid()} | {error, term()}.
start(Config) ->
    case py_nif:start() of
        ok -> start_tree(Config);
        {error, {exhausted, Text}} -> {error, {exhausted, unicode:characters_to_list(Text)}}
    end.

-spec start_tree(py_config:config()) -> {ok, pid()} | {error, term()}.
start_tree(#{max_concurrent := Max, pools := Pools, default := Default}) ->
    ok = py_nif:set_max_permits(Max),
    case py_sup:start_link() of
        {ok, Sup} ->
            case start_pools([{default, Default} | Pools]) of
                ok ->
                    {ok, Sup};
                {error, _} = Error ->
                    py_pool:close_all(),
                    true = unlink(Sup),
                    ok = gen_server:stop(Sup, shutdown, infinity),
                    ok = py_nif:stop(),
                    Error
            end;
        {error, _} = Error ->
            ok = py_nif:stop(),
            Error
    end.

-spec start_pools([{atom(), py_config:pool_config()}]) -> ok | {error, term()}.
start_pools([]) ->
    ok;
start_pools([{Name, Config} | Rest]) ->
    case py_pool:start_checked(Name, Config) of
        ok -> start_pools(Rest);
        {error, _} = Error -> Error
    end.

%% @doc New calls get `{error, not_started}'; those in flight may end for `stop_timeout'.
-spec prep_stop(term()) -> term().
prep_stop(State) ->
    Timeout =
        case py_config:load() of
            {ok, #{default := #{stop_timeout := T}}} -> T;
            {error, _} -> 0
        end,
    ok = py_pool:close_all(),
    ok = py_pool:drain(Timeout),
    State.

%% @doc Every thread and mapping of the native library is gone afterwards.
-spec stop(term()) -> ok.
stop(_State) ->
    ok = py_pool:forget_all(),
    py_nif:stop().
