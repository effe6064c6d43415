%% @doc What {@link py_asgi} and {@link py_wsgi} have in common. Everything here throws the reason that a caller gets.
-module(py_web).

-export([options/2, name/2, octets/2]).

%% @doc Parts options into those of the module and those of {@link py_options}.
-spec options(term(), [atom()]) -> {#{atom() => term()}, py:options()}.
options(Options, Own) when is_map(Options) ->
    case maps:keys(maps:without([timeout, pool, error | Own], Options)) of
        [] -> {checked(maps:with(Own, Options)), maps:without(Own, Options)};
        [Key | _] -> throw({bad_option, Key})
    end;
options(Timeout, _Own) ->
    {#{}, Timeout}.

-spec checked(#{atom() => term()}) -> #{atom() => term()}.
checked(#{factory := Factory}) when not is_boolean(Factory) -> throw({bad_option, factory});
checked(#{credit := Credit}) when Credit =/= infinity, not (is_integer(Credit) andalso Credit > 0) -> throw({bad_option, credit});
checked(#{runner := Runner} = Options) -> Options#{runner := name(Runner, runner)};
checked(Options) -> Options.

%% @doc The name of a Python module or object.
-spec name(py:name(), atom()) -> {str, binary()}.
name(Name, What) ->
    case (is_atom(Name) andalso Name =/= undefined) orelse is_binary(Name) orelse (is_list(Name) andalso Name =/= []) of
        true -> {str, octets(Name, What)};
        false -> throw({badarg, What})
    end.

%% @doc The bytes of a text: binaries as they are, code points as UTF-8.
-spec octets(term(), atom()) -> binary().
octets(Text, _What) when is_binary(Text) -> Text;
octets(Text, _What) when is_atom(Text) -> atom_to_binary(Text);
octets(Text, _What) when is_integer(Text) -> integer_to_binary(Text);
octets(Text, What) ->
    try
        case unicode:characters_to_binary(Text) of
            Bytes when is_binary(Bytes) -> Bytes;
            %% Bytes in a list.
            _ -> iolist_to_binary(Text)
        end
    catch
        error:badarg -> throw({badarg, What})
    end.
